//! What has to be published so that the server has what the files say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::definitions::Definition;
use super::difference;
use crate::client::{Client, encoded};
use crate::output;

/// Definitions that are fetched at once.
const AT_ONCE: usize = 8;

/// What is done about one definition.
#[derive(Debug)]
pub(super) enum Action {
    /// The server has no workflow of that name.
    Create,
    /// The newest version is another one: how, as lines.
    Change { from: Value, lines: Vec<String> },
    /// The newest version is the same.
    Keep,
}

impl Action {
    pub(super) fn changes(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change { .. } => "change",
            Self::Keep => "unchanged",
        }
    }
}

/// A definition, what is done about it, and what became of that.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) definition: Definition,
    pub(super) action: Action,
    /// The version that was published.
    pub(super) version: Option<Value>,
    pub(super) error: Option<String>,
}

/// All of them, by name.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Workflows that no file has.
    pub(super) only_on_server: Vec<String>,
    /// Those are archived.
    pub(super) prune: bool,
    /// What became of that.
    pub(super) archived: Vec<(String, Option<String>)>,
}

/// The names of the server's workflows.
pub(super) async fn names(client: &Client) -> anyhow::Result<Vec<String>> {
    let items = client.items("/api/workflows", u32::MAX).await?.items;
    Ok(items.iter().filter_map(|it| Some(it["name"].as_str()?.to_owned())).collect())
}

/// Compares definitions with the server's.
pub(super) async fn make(wanted: Vec<Definition>, client: &Client) -> anyhow::Result<Plan> {
    let mut wanted: BTreeMap<_, _> = wanted.into_iter().map(|it| (it.name.clone(), it)).collect();
    let (common, only_on_server): (Vec<_>, Vec<_>) =
        names(client).await?.into_iter().partition(|it| wanted.contains_key(it));
    let fetched = futures::stream::iter(common)
        .map(async |name| client.get(&format!("/api/workflows/{}", encoded(&name))).await)
        .buffered(AT_ONCE);
    let fetched: Vec<Value> = fetched.try_collect().await?;
    let mut actions: BTreeMap<_, _> = fetched
        .iter()
        .filter_map(|it| {
            let name = it["name"].as_str()?;
            Some((name.to_owned(), compared(it, &wanted.get(name)?.value)))
        })
        .collect();
    let steps = std::mem::take(&mut wanted).into_iter().map(|(name, definition)| Step {
        action: actions.remove(&name).unwrap_or(Action::Create),
        definition,
        version: None,
        error: None,
    });
    let steps = steps.collect();
    Ok(Plan { steps, only_on_server, prune: false, archived: Vec::new() })
}

fn compared(stored: &Value, wanted: &Value) -> Action {
    if stored["definition"] == *wanted {
        return Action::Keep;
    }
    let lines = difference::lines(&stored["definition"], wanted);
    Action::Change { from: stored["version"].clone(), lines }
}

impl Plan {
    /// How many versions it would publish, and workflows archive.
    pub(super) fn changes(&self) -> u64 {
        let archived = if self.prune { self.only_on_server.len() } else { 0 };
        (self.steps.iter().filter(|it| it.action.changes()).count() + archived) as u64
    }

    /// What would be done, as a person reads it.
    pub(super) fn shown(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let (name, file) = (&step.definition.name, step.definition.file.display());
            let file = output::faint(format!("({file})"));
            match &step.action {
                Action::Keep => {}
                Action::Create => {
                    let _ = writeln!(text, "{} {file}", output::good(format!("create {name}")));
                }
                Action::Change { from, lines } => {
                    let heading = output::warning(format!("change {name}"));
                    let _ = writeln!(text, "{heading}, version {from} on the server {file}");
                    for line in lines {
                        let _ = writeln!(text, "    {line}");
                    }
                }
            }
        }
        if self.prune {
            for name in &self.only_on_server {
                let _ = writeln!(text, "{}", output::bad(format!("archive {name}")));
            }
        } else if !self.only_on_server.is_empty() {
            let names = self.only_on_server.join(", ");
            let _ = writeln!(text, "{}", output::faint(format!("only on the server: {names}")));
        }
        let of = |name: &str| self.steps.iter().filter(|it| it.action.name() == name).count();
        let (create, change, keep) = (of("create"), of("change"), of("unchanged"));
        let archive = if self.prune {
            format!(", {} to archive", self.only_on_server.len())
        } else {
            String::new()
        };
        let _ = writeln!(text, "{create} to create, {change} to change{archive}, {keep} unchanged");
        text
    }

    /// What became of it, as a person reads it.
    pub(super) fn outcome(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let name = &step.definition.name;
            match (&step.version, &step.error) {
                (_, Some(error)) => {
                    let _ = writeln!(text, "{} {name}: {error}", output::bad("failed"));
                }
                (Some(version), None) => {
                    let _ =
                        writeln!(text, "{} {name} version {version}", output::good("published"));
                }
                (None, None) => {
                    let _ = writeln!(text, "{} {name}", output::faint("unchanged"));
                }
            }
        }
        for (name, error) in &self.archived {
            let _ = match error {
                Some(error) => writeln!(text, "{} {name}: {error}", output::bad("failed")),
                None => writeln!(text, "{} {name}", output::warning("archived")),
            };
        }
        text
    }

    /// The same for a program.
    pub(super) fn document(&self, applied: bool) -> Value {
        let steps = self.steps.iter().map(|step| {
            let mut document = json!({
                "name": step.definition.name, "file": step.definition.file, "action": step.action.name(),
            });
            if let Action::Change { from, lines } = &step.action {
                let plain = lines.iter().map(|it| anstream::adapter::strip_str(it).to_string());
                document["from"] = from.clone();
                document["diff"] = plain.collect();
            }
            if let Some(version) = &step.version {
                document["version"] = version.clone();
            }
            if let Some(error) = &step.error {
                document["error"] = json!(error);
            }
            document
        });
        let archived =
            self.archived.iter().map(|(name, error)| json!({ "name": name, "error": error }));
        json!({
            "applied": applied, "changes": self.changes(), "workflows": steps.collect::<Value>(),
            "onlyOnServer": self.only_on_server, "prune": self.prune, "archived": archived.collect::<Value>(),
        })
    }
}
