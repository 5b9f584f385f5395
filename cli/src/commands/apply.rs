//! `apply`, `workflows import` and `workflows export`: definitions as files, and the server's.
//!
//! Everything is read, checked and planned before anything is changed, and nothing is archived before the rest has worked.

mod definitions;
mod difference;
mod plan;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};

use crate::arguments::{ApplyOptions, ExportWorkflowsOptions, ImportWorkflowsOptions};
use crate::client::{Client, encoded, problem};
use crate::output::{self, Progress, Usage};
use definitions::Definition;
pub(super) use difference::lines as difference_lines;
use plan::{Action, Plan};

/// A dry run has found that something differs.
const DIFFERS: u8 = 2;

/// Publishes what differs between a directory and the server.
pub(crate) async fn apply(
    options: &ApplyOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let wanted = definitions::in_directory(&options.dir)?;
    if wanted.is_empty() {
        let text = format!("{} has no .json file in it or below", options.dir.display());
        return Err(Usage(text).into());
    }
    let Some(mut plan) = planned(wanted, client, as_json).await? else {
        return Ok(ExitCode::FAILURE);
    };
    plan.prune = options.prune;
    if !as_json {
        output::lines(&plan.shown())?;
    }
    if options.dry_run || plan.changes() == 0 {
        if as_json {
            output::json(&plan.document(false))?;
        }
        let differs = plan.changes() > 0;
        return Ok(if differs { ExitCode::from(DIFFERS) } else { ExitCode::SUCCESS });
    }
    let question = format!("Make {}?", output::count(plan.changes(), "change"));
    if !output::confirm(&question, options.yes)? {
        return Ok(ExitCode::FAILURE);
    }
    publish(plan, client, as_json).await
}

/// Publishes what differs between files and the server.
pub(crate) async fn import(
    options: &ImportWorkflowsOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut wanted = Vec::new();
    for file in &options.files {
        wanted.extend(definitions::in_file(file)?);
    }
    let Some(mut plan) = planned(wanted, client, as_json).await? else {
        return Ok(ExitCode::FAILURE);
    };
    plan.only_on_server.clear();
    publish(plan, client, as_json).await
}

/// What would be done; none if a definition is not valid, and that is said.
async fn planned(
    wanted: Vec<Definition>,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<Option<Plan>> {
    let progress = Progress::of(wanted.len() as u64, "checking");
    let faults = definitions::faults(&wanted, client, &progress).await?;
    drop(progress);
    if !faults.is_empty() {
        if as_json {
            output::json(&json!({ "valid": false, "files": faults }))?;
        } else {
            definitions::report(&faults);
            let files = output::count(faults.len() as u64, "file");
            output::complain(&format!("{files} not valid; nothing was changed"));
        }
        return Ok(None);
    }
    let progress = Progress::unknown("comparing with the server");
    let plan = plan::make(wanted, client).await;
    drop(progress);
    plan.map(Some)
}

/// Carries a plan out. One that fails does not keep the others from being published.
async fn publish(mut plan: Plan, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let progress = Progress::of(plan.changes(), "publishing");
    let (mut done, mut well) = (0, true);
    for step in plan.steps.iter_mut().filter(|it| it.action.changes()) {
        match publish_one(&step.definition, &step.action, client).await {
            Ok(version) => step.version = Some(version),
            Err(error) => {
                well = false;
                step.error = Some(format!("{error:#}"));
            }
        }
        done += 1;
        progress.reach(done);
    }
    if plan.prune && well {
        for name in &plan.only_on_server {
            let path = format!("/api/workflows/{}", encoded(name));
            let failed = client.delete(&path).await.err().map(|error| format!("{error:#}"));
            well &= failed.is_none();
            plan.archived.push((name.clone(), failed));
        }
    }
    drop(progress);
    if as_json {
        output::json(&plan.document(true))?;
    } else {
        output::lines(&plan.outcome())?;
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn publish_one(
    definition: &Definition,
    action: &Action,
    client: &Client,
) -> anyhow::Result<Value> {
    let body = definition.text.clone().into_bytes();
    let (status, answer) = match action {
        // What somebody has published since the plan was made is not what was compared.
        Action::Change { from, .. } => {
            let path = format!("/api/workflows/{}", encoded(&definition.name));
            client.replace(&path, from, body).await?
        }
        _ => client.exchange(Method::POST, "/api/workflows", "application/json", body).await?,
    };
    if !status.is_success() {
        anyhow::bail!("{}", problem(status, &answer));
    }
    Ok(answer["version"].clone())
}

/// Writes definitions to files, or prints them.
pub(crate) async fn export(
    options: &ExportWorkflowsOptions,
    client: &Client,
) -> anyhow::Result<ExitCode> {
    let names = if options.all { plan::names(client).await? } else { options.workflows.clone() };
    let progress = Progress::of(names.len() as u64, "fetching");
    let mut exported = Vec::new();
    for (done, name) in names.iter().enumerate() {
        let version = options.workflow_version;
        let version = version.map_or_else(String::new, |it| format!("/versions/{it}"));
        let path = format!("/api/workflows/{}{version}", encoded(name));
        let workflow = client.get(&path).await?;
        exported.push((workflow["name"].clone(), workflow["definition"].clone()));
        progress.reach(done as u64 + 1);
    }
    drop(progress);
    if let Some(dir) = &options.dir {
        exported.iter().try_for_each(|(name, definition)| write(dir, name, definition))?;
        let count = output::count(exported.len() as u64, "definition");
        output::note(&format!("{count} written to {}", dir.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut definitions: Vec<_> = exported.into_iter().map(|(_, it)| it).collect();
    match (options.all, definitions.len()) {
        (false, 1) => output::json(&definitions.remove(0))?,
        _ => output::json(&Value::Array(definitions))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(dir: &Path, name: &Value, definition: &Value) -> anyhow::Result<()> {
    let file = dir.join(definitions::file_name(name.as_str().unwrap_or_default()));
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&file, format!("{definition:#}\n")))
        .with_context(|| format!("cannot write {}", file.display()))
}
