//! `status`: an execution with its timeline, once or until it ends.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::{LOOK_EVERY, ended, text};
use crate::arguments::StatusOptions;
use crate::client::{Client, encoded};
use crate::moment::{ago, between, offset, took};
use crate::output::{self, Screen, Table};

const HEADERS: [&str; 6] = ["STEP", "ATTEMPT", "STATUS", "AT", "TOOK", "MESSAGE"];

/// An execution, and what happened in it.
struct History {
    execution: Value,
    timeline: Value,
}

/// Shows an execution with its timeline.
pub(crate) async fn status(
    options: StatusOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::open().filter(|_| options.follow && !as_json);
    let mut said = 0;
    let history = loop {
        let history = History::get(client, &options.id).await?;
        if !options.follow || ended(&history.execution) {
            break history;
        }
        if let Some(screen) = &mut screen {
            screen.draw(&history.shown())?;
        } else if !as_json {
            said = history.say_what_ended(said)?;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    if as_json {
        output::json(&json!({ "execution": history.execution, "timeline": history.timeline }))?;
    } else if let Some(screen) = &mut screen {
        screen.draw("")?;
        output::lines(&history.shown())?;
    } else {
        output::lines(&history.shown())?;
    }
    Ok(ExitCode::SUCCESS)
}

impl History {
    async fn get(client: &Client, id: &str) -> anyhow::Result<Self> {
        let path = format!("/api/executions/{}", encoded(id));
        let execution = client.get(&path).await?;
        let mut timeline = client.get(&format!("{path}/timeline")).await?;
        // Pages of it are long, and rarely more than one.
        while let Some(cursor) = timeline["nextCursor"].as_i64() {
            let mut page = client.get(&format!("{path}/timeline?cursor={cursor}")).await?;
            let mut items = std::mem::take(&mut timeline["items"]);
            if let (Some(items), Some(more)) = (items.as_array_mut(), page["items"].as_array()) {
                items.extend(more.iter().cloned());
            }
            page["items"] = items;
            timeline = page;
        }
        Ok(Self { execution, timeline })
    }

    fn items(&self) -> impl Iterator<Item = &Value> {
        self.timeline["items"].as_array().into_iter().flatten()
    }

    /// All of it, as a person reads it.
    fn shown(&self) -> String {
        let it = &self.execution;
        let mut text_ = format!(
            "{}  {} version {}  {}\n{}\n\n",
            output::bold(text(&it["id"])),
            text(&it["workflow"]),
            it["version"],
            output::of_status(&text(&it["status"])),
            output::faint(self.when()),
        );
        let rows: Vec<_> = self.items().map(|item| self.row(item)).collect();
        if rows.is_empty() {
            let yet = if it["finishedAt"].is_null() { " yet" } else { "" };
            let _ = writeln!(text_, "nothing has run{yet}");
        } else {
            let _ = write!(text_, "{}", Table::new(&HEADERS, rows));
        }
        self.write_outcome(&mut text_);
        text_
    }

    fn when(&self) -> String {
        let it = &self.execution;
        let started = format!("started {}", ago(&it["createdAt"]));
        let took = between(&it["startedAt"], &it["finishedAt"]);
        if took.is_empty() { started } else { format!("{started}, took {took}") }
    }

    fn write_outcome(&self, text_: &mut String) {
        let it = &self.execution;
        text_.push('\n');
        let _ = writeln!(text_, "input   {}", it["input"]);
        if !it["output"].is_null() {
            let _ = writeln!(text_, "output  {}", it["output"]);
        }
        if !it["error"].is_null() {
            let (code, message) = (text(&it["error"]["code"]), text(&it["error"]["message"]));
            let message = output::tame(&message);
            let _ = writeln!(text_, "error   {}: {message}", output::bad(code));
        }
        for late in self.timeline["late"].as_array().into_iter().flatten() {
            let _ = writeln!(
                text_,
                "late, not applied: step {} attempt {} {}",
                text(&late["step"]),
                late["attempt"],
                text(&late["status"])
            );
        }
    }

    fn row(&self, item: &Value) -> Vec<String> {
        let execution = &self.execution;
        // As the whole duration does, which leaves the wait for a worker out.
        let begun = ["startedAt", "createdAt"].map(|name| &execution[name]);
        let begun = begun.into_iter().find(|it| !it.is_null()).unwrap_or(&Value::Null);
        vec![
            text(&item["step"]),
            text(&item["attempt"]),
            text(&item["status"]),
            offset(begun, &item["startedAt"]),
            took(&item["durationMs"]),
            said(item),
        ]
    }

    /// Prints the attempts that have ended since so many had. How many have by now.
    fn say_what_ended(&self, before: usize) -> anyhow::Result<usize> {
        let ended: Vec<_> = self.items().filter(|it| !it["finishedAt"].is_null()).collect();
        for item in ended.iter().skip(before) {
            let row = self.row(item);
            output::line(row.join("  ").trim_end())?;
        }
        Ok(ended.len())
    }
}

/// What there is to say of an attempt: why it failed, until when it waits, how far it is.
fn said(item: &Value) -> String {
    let error = &item["error"];
    if !error.is_null() {
        return format!("{}: {}", text(&error["code"]), text(&error["message"]));
    }
    if !item["until"].is_null() {
        return format!("ends {}", ago(&item["until"]));
    }
    text(&item["note"])
}
