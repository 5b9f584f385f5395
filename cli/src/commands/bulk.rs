//! `bulk` and `incidents`: what operators do with many executions.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::executions::{LOOK_EVERY, fork_body, text};
use crate::arguments::{BulkOptions, IncidentsOptions, PaceOptions};
use crate::client::{Client, encoded};
use crate::moment;
use crate::output::{self, Progress, Usage};

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
    if options.ids.is_empty() && filter.is_empty() && !options.all {
        let text = "say which: ids, options such as --workflow, or --all";
        return Err(Usage(text.to_owned()).into());
    }
    let mut body = fork_body(&options.fork)?;
    body["action"] = json!(options.action);
    body["dryRun"] = json!(options.dry_run);
    at_a_pace(&mut body, &options.pace);
    if options.ids.is_empty() {
        body["filter"] = Value::Object(filter);
    } else {
        body["ids"] = json!(options.ids);
    }
    if options.ids.is_empty() && !options.dry_run && !agreed(&options, client, &body).await? {
        return Ok(ExitCode::FAILURE);
    }
    let answer = client.post("/api/executions/bulk", &body).await?;
    if !options.dry_run {
        return begun(&options.action, &answer, options.pace.wait, client, as_json).await;
    }
    if as_json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{}; nothing was done", executions(&answer["matched"])))?;
    for id in answer["sample"].as_array().into_iter().flatten() {
        output::line(text(id))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether it is really for as many as the options find.
async fn agreed(options: &BulkOptions, client: &Client, body: &Value) -> anyhow::Result<bool> {
    if options.yes {
        return Ok(true);
    }
    let mut dry = body.clone();
    dry["dryRun"] = json!(true);
    let found = &client.post("/api/executions/bulk", &dry).await?["matched"];
    let question = format!("{} for {}?", options.action, executions(found));
    Ok(found.as_u64().unwrap_or(0) <= 1 || output::confirm(&question, false)?)
}

/// Says how fast, by the names that the API has for it.
pub(super) fn at_a_pace(body: &mut Value, pace: &PaceOptions) {
    body["rate"] = json!(pace.rate);
    body["canary"] = json!(pace.canary);
    body["stopAbove"] = json!(pace.stop_above);
}

/// Says that an action has begun, or waits for its end.
pub(super) async fn begun(
    action: &str,
    answer: &Value,
    wait: bool,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let id = text(&answer["id"]);
    if wait {
        return report(&follow(client, &id, action).await?, as_json);
    }
    if as_json {
        output::json(answer)?;
    } else {
        let matched = executions(&answer["matched"]);
        output::line(format!("{action} of {matched}: see `stateflow bulk status {id}`"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for the end of an action.
pub(super) async fn follow(client: &Client, id: &str, action: &str) -> anyhow::Result<Value> {
    let path = format!("/api/executions/bulk/{}", encoded(id));
    let mut progress: Option<Progress> = None;
    loop {
        let answer = client.get(&path).await?;
        if answer["status"] != "running" {
            return Ok(answer);
        }
        let matched = answer["matched"].as_u64().unwrap_or(0);
        let progress = progress.get_or_insert_with(|| Progress::of(matched, action));
        progress.reach(answer["acted"].as_u64().unwrap_or(0));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn executions(count: &Value) -> String {
    output::count(count.as_u64().unwrap_or(0), "execution")
}

/// Shows how far an action has come.
async fn show(options: &BulkOptions, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let [id] = options.ids.as_slice() else {
        return Err(Usage("`bulk status` takes the id of one action".to_owned()).into());
    };
    let action = if options.pace.wait {
        follow(client, id, "acting").await?
    } else {
        client.get(&format!("/api/executions/bulk/{}", encoded(id))).await?
    };
    let code = report(&action, as_json)?;
    // Asked how far it is, and not to see to it that it succeeds.
    Ok(if options.pace.wait { code } else { ExitCode::SUCCESS })
}

/// Says how far an action has come; fails if it was stopped.
fn report(action: &Value, as_json: bool) -> anyhow::Result<ExitCode> {
    let (status, acted) = (text(&action["status"]), &action["acted"]);
    let well = status != "stopped";
    let code = if well { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if as_json {
        output::json(action)?;
        return Ok(code);
    }
    let (of, status) = (executions(&action["matched"]), output::of_status(&status));
    let skipped = match action["skipped"].as_u64().unwrap_or(0) {
        0 => String::new(),
        some => format!("{some} skipped, "),
    };
    output::line(format!("{status}: {acted} of {of}, {skipped}{} failed since", action["failed"]))?;
    if !action["message"].is_null() {
        output::line(output::tame(&text(&action["message"])))?;
    }
    for id in action["forks"].as_array().into_iter().flatten() {
        output::line(format!("started {}", text(id)))?;
    }
    Ok(code)
}

/// Shows failures by kind.
pub(crate) async fn incidents(
    options: IncidentsOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let since = options
        .since
        .map_or_else(String::new, |since| format!("?since={}", encoded(&moment::exact(since))));
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
    if answer["more"] == true {
        output::note(&format!("only the newest {} failures are counted", answer["lookedAt"]));
    }
    Ok(ExitCode::SUCCESS)
}
