//! `dlq`: dead letters, listed, shown, run again, taken off the list.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::bulk;
use super::executions::text;
use crate::arguments::{
    DeadLetterCommand, DeadLetterTargets, ListDeadLettersOptions, PurgeOptions, RedriveOptions,
};
use crate::client::{Client, encoded, narrowed};
use crate::moment::ago;
use crate::output::{self, Usage};

/// Carries out one of them.
pub(crate) async fn dead_letters(
    command: DeadLetterCommand,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        DeadLetterCommand::List(options) => list(&options, client, as_json).await,
        DeadLetterCommand::Show { id } => show(&id, client, as_json).await,
        DeadLetterCommand::Redrive(options) => redrive(options, client, as_json).await,
        DeadLetterCommand::Purge(options) => purge(options, client, as_json).await,
    }
}

async fn list(
    options: &ListDeadLettersOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let path = narrowed("/api/dlq", options.filter.given());
    let page = client.items(&path, options.limit).await?;
    if as_json {
        output::json(&Value::Array(page.items))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = page.items.iter().map(|it| {
        let error = &it["error"];
        vec![
            text(&it["id"]),
            text(&it["workflow"]),
            text(&it["step"]),
            text(&error["code"]),
            ago(&it["finishedAt"]),
            text(&error["message"]),
        ]
    });
    output::table(
        &["ID", "WORKFLOW", "STEP", "CODE", "FAILED", "MESSAGE"],
        rows.collect(),
        "no dead letters",
    )?;
    page.say_if_there_are_more();
    Ok(ExitCode::SUCCESS)
}

async fn show(id: &str, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let execution = client.get(&format!("/api/executions/{}", encoded(id))).await?;
    if execution["deadLetter"] != true {
        bail!("execution {id} is no dead letter: it is {}", text(&execution["status"]));
    }
    if as_json {
        output::json(&execution)?;
        return Ok(ExitCode::SUCCESS);
    }
    let error = &execution["error"];
    let code = text(&error["code"]);
    let steps = execution["steps"].as_array().into_iter().flatten();
    let failed: Vec<_> = steps.filter(|it| it["status"] == "failed").collect();
    output::line(format!(
        "{}  {} version {}  failed {}",
        output::bold(id),
        text(&execution["workflow"]),
        execution["version"],
        ago(&execution["finishedAt"])
    ))?;
    for step in failed {
        let attempts = output::count(step["attempts"].as_u64().unwrap_or(0), "attempt");
        output::line(format!(
            "step    {} ({}), {attempts}",
            text(&step["id"]),
            text(&step["type"])
        ))?;
    }
    let message = output::tame(&text(&error["message"]));
    output::line(format!("error   {}: {message}", output::bad(&code)))?;
    if !error["details"].is_null() {
        output::line(format!("details {}", error["details"]))?;
    }
    output::line(format!("input   {}", execution["input"]))?;
    if execution["labels"].as_object().is_some_and(|it| !it.is_empty()) {
        output::line(format!("labels  {}", execution["labels"]))?;
    }
    output::note(&format!("what the code means:  stateflow explain {code}"));
    output::note(&format!("what it has logged:   stateflow logs {id}"));
    output::note(&format!("let it go on:         stateflow dlq redrive {id}"));
    Ok(ExitCode::SUCCESS)
}

async fn redrive(
    options: RedriveOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let RedriveOptions { targets, from_start, pace } = options;
    let mut body = chosen(&targets)?;
    body["from"] = json!(if from_start { "start" } else { "failed-step" });
    bulk::at_a_pace(&mut body, &pace);
    let matched = count(client, "/api/dlq/redrive", &body, "matched").await?;
    if targets.dry_run {
        return would(matched, "run again", as_json);
    }
    if matched > 1 {
        let question = format!("Run {} again?", output::count(matched, "dead letter"));
        if !output::confirm(&question, targets.yes)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let answer = client.post("/api/dlq/redrive", &body).await?;
    bulk::begun("redrive", &answer, pace.wait, client, as_json).await
}

async fn purge(options: PurgeOptions, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let PurgeOptions { targets, by, reason } = options;
    let mut body = chosen(&targets)?;
    body["by"] = json!(by);
    body["reason"] = json!(reason);
    let matched = count(client, "/api/dlq/purge", &body, "purged").await?;
    if targets.dry_run {
        return would(matched, "be taken off the list", as_json);
    }
    if matched > 1 {
        let question = format!("Take {} off the list?", output::count(matched, "dead letter"));
        if !output::confirm(&question, targets.yes)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let answer = client.post("/api/dlq/purge", &body).await?;
    if as_json {
        output::json(&answer)?;
    } else {
        let purged = answer["purged"].as_u64().unwrap_or(0);
        output::line(format!("{} taken off the list", output::count(purged, "dead letter")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Which dead letters, as the API takes it. All of them have to be asked for by name.
fn chosen(targets: &DeadLetterTargets) -> anyhow::Result<Value> {
    let filter: Map<_, _> = targets
        .filter
        .given()
        .map(|(field, value)| (field.to_owned(), Value::from(value)))
        .collect();
    match (targets.ids.is_empty(), filter.is_empty(), targets.all) {
        (false, true, false) => Ok(json!({ "ids": targets.ids })),
        (true, false, false) | (true, true, true) => Ok(json!({ "filter": filter })),
        (true, true, false) => {
            Err(Usage("say which: ids, options such as --workflow, or --all".to_owned()).into())
        }
        _ => Err(Usage("give ids, or options such as --workflow, or --all".to_owned()).into()),
    }
}

/// How many it would be for.
async fn count(client: &Client, path: &str, body: &Value, field: &str) -> anyhow::Result<u64> {
    let mut dry = body.clone();
    dry["dryRun"] = json!(true);
    Ok(client.post(path, &dry).await?[field].as_u64().unwrap_or(0))
}

fn would(matched: u64, what: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        output::json(&json!({ "dryRun": true, "matched": matched }))?;
    } else {
        output::line(format!("{} would {what}", output::count(matched, "dead letter")))?;
    }
    Ok(ExitCode::SUCCESS)
}
