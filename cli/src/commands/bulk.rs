//! `bulk` and `incidents`: what operators do with many executions.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::executions::{fork_body, text};
use crate::arguments::{BulkOptions, IncidentsOptions};
use crate::client::Client;
use crate::output::{self, Usage};

/// Does something to many executions.
pub(crate) async fn bulk(
    options: BulkOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if options.action == "status" {
        return show(&options, client, as_json).await;
    }
    let mut filter = Map::new();
    filter.extend(
        options.filter.given().map(|(field, value)| (field.to_owned(), Value::from(value))),
    );
    if options.dead_letters {
        filter.insert("deadLetter".to_owned(), Value::from(true));
    }
    let mut body = fork_body(&options.fork)?;
    let common = json!({
        "action": options.action, "dryRun": options.dry_run, "rate": options.rate, "canary": options.canary,
        "stopAbove": options.stop_above,
    });
    if let (Some(body), Value::Object(common)) = (body.as_object_mut(), common) {
        body.extend(common);
    }
    if options.ids.is_empty() {
        body["filter"] = Value::Object(filter);
    } else {
        body["ids"] = json!(options.ids);
    }
    let answer = client.post("/api/executions/bulk", &body).await?;
    if as_json {
        output::json(&answer)?;
    } else if options.dry_run {
        output::line(format!("{}; nothing was done", executions(&answer["matched"])))?;
        for id in answer["sample"].as_array().into_iter().flatten() {
            output::line(text(id))?;
        }
    } else {
        output::line(format!(
            "{} of {}: see `stateflow bulk status {}`",
            options.action,
            executions(&answer["matched"]),
            text(&answer["id"])
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn executions(count: &Value) -> String {
    if *count == 1 { "1 execution".to_owned() } else { format!("{count} executions") }
}

/// Shows how far an action has come.
async fn show(options: &BulkOptions, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let [id] = options.ids.as_slice() else {
        return Err(Usage("`bulk status` takes the id of one action".to_owned()).into());
    };
    let action = client.get(&format!("/api/executions/bulk/{id}")).await?;
    if as_json {
        output::json(&action)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (status, acted) = (text(&action["status"]), &action["acted"]);
    let of = executions(&action["matched"]);
    output::line(format!("{status}: {acted} of {of}, {} failed since", action["failed"]))?;
    if !action["message"].is_null() {
        output::line(text(&action["message"]))?;
    }
    for id in action["forks"].as_array().into_iter().flatten() {
        output::line(format!("started {}", text(id)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows failures by kind.
pub(crate) async fn incidents(
    options: IncidentsOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let since = options.since.map_or_else(String::new, |since| format!("?since={since}"));
    let answer = client.get(&format!("/api/incidents{since}")).await?;
    if as_json {
        output::json(&answer["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let rows = items.iter().map(|it| {
        ["executions", "workflow", "version", "step", "code", "last", "message"]
            .map(|field| text(&it[field]))
            .to_vec()
    });
    output::table(
        &["FAILED", "WORKFLOW", "VERSION", "STEP", "CODE", "LAST", "MESSAGE"],
        rows.collect(),
        "nothing has failed",
    )?;
    Ok(ExitCode::SUCCESS)
}
