//! Commands about executions: `run`, `cancel`, `pause`, `resume`, `retry`, `retry-step`, `fork`, `children`, `why`; and in files
//! of their own `list`, `failed`, `status` and `logs`.

mod list;
mod logs;
mod status;

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::arguments::{
    ChildrenOptions, ExecutionOptions, ForkChanges, ForkOptions, ReasonOptions, RetryStepOptions,
    RunOptions,
};
use crate::client::{Client, encoded};
use crate::moment::ago;
use crate::output::{self, Progress, Usage};

pub(crate) use list::{failed, list};
pub(crate) use logs::logs;
pub(crate) use status::status;

/// How long one request of `--wait` waits before it asks again.
const WAIT_MS: u64 = 30_000;
/// How often a follower looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Starts an execution.
pub(crate) async fn run(
    options: RunOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut labels = Map::new();
    for label in &options.label {
        let (name, value) = label
            .split_once('=')
            .ok_or_else(|| Usage(format!("`--label {label}`: write name=value")))?;
        labels.insert(name.to_owned(), Value::from(value));
    }
    let request = json!({
        "input": read_input(options.input.as_deref())?,
        "idempotencyKey": options.idempotency_key,
        "version": options.workflow_version,
        "labels": labels,
    });
    let wait = if options.wait { format!("?wait={WAIT_MS}") } else { String::new() };
    let path = format!("/api/workflows/{}/execute{wait}", encoded(&options.workflow));
    let progress =
        options.wait.then(|| Progress::unknown(&format!("running {}", options.workflow)));
    let mut answer = client.post(&path, &request).await?;
    let id = answer["id"].as_str().unwrap_or_default().to_owned();
    if let Some(progress) = progress.as_ref().filter(|_| !ended(&answer)) {
        progress.note(&format!("waiting for {id}"));
        answer = follow(client, &id, progress).await?;
    }
    drop(progress);
    if as_json || options.wait {
        output::json(&answer)?;
    } else {
        output::line(&id)?;
    }
    let well = !options.wait || answer["status"] == "succeeded";
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_input(given: Option<&str>) -> anyhow::Result<Value> {
    given.map_or_else(|| Ok(json!({})), |given| read_json("the input", given))
}

/// JSON as given on the command line: the text itself, `@FILE`, or `-` for standard input.
pub(super) fn read_json(what: &str, given: &str) -> anyhow::Result<Value> {
    let text = match given {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
            text
        }
        file if file.starts_with('@') => std::fs::read_to_string(&file[1..])
            .with_context(|| format!("cannot read {}", &file[1..]))?,
        text => text.to_owned(),
    };
    serde_json::from_str(&text)
        .map_err(|error| Usage(format!("{what} is not JSON: {error}")).into())
}

fn ended(execution: &Value) -> bool {
    matches!(execution["status"].as_str(), Some("succeeded" | "failed" | "cancelled"))
}

async fn follow(client: &Client, id: &str, progress: &Progress) -> anyhow::Result<Value> {
    loop {
        let execution = client.get(&format!("/api/executions/{id}")).await?;
        if ended(&execution) {
            return Ok(execution);
        }
        progress.say(what_it_does(&execution));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Where an execution is, in a line.
fn what_it_does(execution: &Value) -> String {
    let steps = execution["steps"].as_array().into_iter().flatten();
    let mut current = steps.filter(|it| it["status"] == "running" || it["status"] == "waiting");
    let at = current.next().map_or_else(String::new, |it| format!(" at step {}", text(&it["id"])));
    format!("{} {}{at}", text(&execution["workflow"]), text(&execution["status"]))
}

/// Lists what an execution has begun.
pub(crate) async fn children(
    options: ChildrenOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let status = options.status.map_or_else(String::new, |status| format!("&status={status}"));
    let path = format!("/api/executions/{}/children?limit={}{status}", options.id, options.limit);
    let page = client.get(&path).await?;
    if as_json {
        output::json(&page["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let rows = items.iter().map(|it| {
        let runs = if it["block"].is_null() { &it["workflow"] } else { &it["block"] };
        let rest = ["index", "status", "errorCode"].map(|field| text(&it[field]));
        let finished = ago(&it["finishedAt"]);
        let first = [text(&it["id"]), text(&it["step"]), text(runs)];
        first.into_iter().chain(rest).chain([finished]).collect()
    });
    output::table(
        &["ID", "STEP", "RUNS", "INDEX", "STATUS", "ERROR", "FINISHED"],
        rows.collect(),
        "it has begun no such executions",
    )?;
    if !page["nextCursor"].is_null() {
        output::note("there are more: raise --limit, or narrow by --status");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Cancels an execution.
pub(crate) async fn cancel(
    options: ReasonOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let body = json!({ "reason": options.reason });
    let answer = client.post(&format!("/api/executions/{}/cancel", options.id), &body).await?;
    acknowledge(&answer, "asked to cancel", as_json)
}

/// Lets an execution rest.
pub(crate) async fn pause(
    options: ReasonOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let body = json!({ "reason": options.reason });
    let answer = client.post(&format!("/api/executions/{}/pause", options.id), &body).await?;
    acknowledge(&answer, "asked to pause", as_json)
}

/// Lets a paused execution go on.
pub(crate) async fn resume(
    options: ExecutionOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let answer = client.post(&format!("/api/executions/{}/resume", options.id), &json!({})).await?;
    acknowledge(&answer, "asked to go on", as_json)
}

/// Lets a failed execution go on at a step.
pub(crate) async fn retry_step(
    options: RetryStepOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let body = json!({ "step": options.step });
    let answer = client.post(&format!("/api/executions/{}/retry-step", options.id), &body).await?;
    acknowledge(&answer, "asked to go on", as_json)
}

/// Starts a fork.
pub(crate) async fn fork(
    options: ForkOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let body = fork_body(&options.changes)?;
    let answer = client.post(&format!("/api/executions/{}/fork", options.id), &body).await?;
    acknowledge(&answer, &format!("started, as a fork of {}", options.id), as_json)
}

/// What differs, by the names that the API has for it.
pub(super) fn fork_body(changes: &ForkChanges) -> anyhow::Result<Value> {
    let patch = changes.input_patch.as_deref();
    Ok(json!({
        "fromStep": changes.from_step,
        "version": changes.workflow_version,
        "inputPatch": patch.map(|patch| read_input(Some(patch))).transpose()?,
    }))
}

/// Runs an execution again.
pub(crate) async fn retry(
    options: ExecutionOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let answer = client.post(&format!("/api/executions/{}/retry", options.id), &json!({})).await?;
    acknowledge(&answer, "asked to run again", as_json)
}

pub(super) fn acknowledge(answer: &Value, what: &str, as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        output::json(answer)?;
    } else {
        output::line(format!("{} {what}", text(&answer["id"])))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says why an execution is not moving.
pub(crate) async fn why(
    options: ExecutionOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let answer = client.get(&format!("/api/executions/{}/why", options.id)).await?;
    if as_json {
        output::json(&answer)?;
    } else {
        let reason = text(&answer["reason"]["type"]);
        let reason = if reason.is_empty() { String::new() } else { format!("{reason}: ") };
        let status = output::of_status(&text(&answer["status"]));
        output::line(format!("{status}: {reason}{}", text(&answer["message"])))?;
    }
    Ok(ExitCode::SUCCESS)
}
