//! `workflows`: listing, publishing, showing.

use std::process::ExitCode;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::apply;
use super::executions::text;
use crate::arguments::{
    ArchiveWorkflowsOptions, MigrateExecutionsOptions, ShowWorkflowOptions, WorkflowsCommand,
    WorkflowsOptions,
};
use crate::client::{Client, encoded, narrowed, problem};
use crate::moment::ago;
use crate::output;

/// Lists, publishes or shows workflows.
pub(crate) async fn workflows(
    options: WorkflowsOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match options.command {
        None => list(u32::MAX, client, as_json).await?,
        Some(WorkflowsCommand::List(options)) => {
            list(options.limit.unwrap_or(u32::MAX), client, as_json).await?;
        }
        Some(WorkflowsCommand::Show(ShowWorkflowOptions { workflow, version })) => {
            let version = version.map_or_else(String::new, |number| format!("/versions/{number}"));
            output::json(&client.get(&format!("{}{version}", path_of(&workflow))).await?)?;
        }
        Some(WorkflowsCommand::Live { workflow, version, ramp, percent }) => {
            let answer = live(client, &workflow, version, ramp.zip(percent)).await?;
            if as_json {
                output::json(&answer)?;
            } else {
                output::line(format!("new executions of {workflow} run {}", versions(&answer)))?;
            }
        }
        Some(WorkflowsCommand::Diff { workflow, from, to }) => {
            diff(client, &workflow, (from, to), as_json).await?;
        }
        Some(WorkflowsCommand::Export(options)) => return apply::export(&options, client).await,
        Some(WorkflowsCommand::Import(options)) => {
            return apply::import(&options, client, as_json).await;
        }
        Some(WorkflowsCommand::Archive(options)) => return archive(&options, client).await,
        Some(WorkflowsCommand::Push { files }) => {
            for file in files {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let published =
                    push(client, text).await.with_context(|| file.display().to_string())?;
                if as_json {
                    output::json(&published)?;
                } else {
                    let digest = published["digest"].as_str().unwrap_or_default();
                    let (name, version) =
                        (published["name"].as_str().unwrap_or_default(), &published["version"]);
                    output::line(format!("{name} version {version} {digest}"))?;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn archive(options: &ArchiveWorkflowsOptions, client: &Client) -> anyhow::Result<ExitCode> {
    let count = options.workflows.len() as u64;
    let question = format!("Archive {}?", output::count(count, "workflow"));
    if count > 1 && !output::confirm(&question, options.yes)? {
        return Ok(ExitCode::FAILURE);
    }
    for name in &options.workflows {
        client.delete(&narrowed(&path_of(name), [("by", options.by.clone())])).await?;
        output::line(format!("archived {name}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn path_of(workflow: &str) -> String {
    format!("/api/workflows/{}", encoded(workflow))
}

/// Shows how two versions differ: as lines of their JSON, or step by step for a program.
async fn diff(
    client: &Client,
    workflow: &str,
    (from, to): (i32, i32),
    as_json: bool,
) -> anyhow::Result<()> {
    let path = path_of(workflow);
    if as_json {
        return output::json(&client.get(&format!("{path}/diff?from={from}&to={to}")).await?);
    }
    let version = |number: i32| {
        let path = format!("{path}/versions/{number}");
        async move { client.get(&path).await }
    };
    let (old, new) = tokio::try_join!(version(from), version(to))?;
    let lines = apply::difference_lines(&old["definition"], &new["definition"]);
    if lines.is_empty() {
        output::note("they are the same");
    }
    lines.into_iter().try_for_each(output::line)
}

/// Says which version new executions run, and which a part of them.
async fn live(
    client: &Client,
    workflow: &str,
    version: Option<i32>,
    ramp: Option<(i32, i32)>,
) -> anyhow::Result<Value> {
    let ramp = ramp.map(|(version, percent)| json!({ "version": version, "percent": percent }));
    let body = json!({ "version": version, "ramp": ramp }).to_string().into_bytes();
    let path = format!("/api/workflows/{workflow}/live");
    let (status, answer) = client.exchange(Method::PUT, &path, "application/json", body).await?;
    if !status.is_success() {
        bail!("{}", problem(status, &answer));
    }
    Ok(answer)
}

/// What is live, in words.
fn versions(live: &Value) -> String {
    let most = match &live["version"] {
        Value::Null => "the newest version".to_owned(),
        version => format!("version {version}"),
    };
    match &live["ramp"] {
        Value::Null => most,
        ramp => format!("{most}, {} % of them version {}", ramp["percent"], ramp["version"]),
    }
}

/// Lets executions go on by another version.
pub(crate) async fn migrate_executions(
    options: MigrateExecutionsOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let path = format!("/api/workflows/{}/migrate-executions", options.workflow);
    let body = json!({ "from": options.from, "to": options.to, "dryRun": options.dry_run });
    let answer = client.post(&path, &body).await?;
    if as_json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let verb = if options.dry_run { "can move" } else { "moved" };
    output::line(format!("{} {verb}, {} stay", answer["moved"], answer["stay"]))?;
    for it in answer["staying"].as_array().into_iter().flatten() {
        let why = it["obstacles"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let why: Vec<_> = why.collect();
        output::line(format!("{}: {}", it["id"].as_str().unwrap_or_default(), why.join("; ")))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(limit: u32, client: &Client, as_json: bool) -> anyhow::Result<()> {
    let page = client.items("/api/workflows", limit).await?;
    if as_json {
        return output::json(&Value::Array(page.items));
    }
    let row = |it: &Value| {
        let (newest, live) = (text(&it["latestVersion"]), live_in_short(it));
        vec![text(&it["name"]), newest, live, ago(&it["updatedAt"]), text(&it["id"])]
    };
    output::table(
        &["NAME", "VERSION", "LIVE", "PUBLISHED", "ID"],
        page.items.iter().map(row).collect(),
        "no workflows; publish one: stateflow workflows push FILE",
    )?;
    page.say_if_there_are_more();
    Ok(())
}

/// The version that new executions run, and the one that a part of them runs.
fn live_in_short(workflow: &Value) -> String {
    let live = text(&workflow["liveVersion"]);
    match &workflow["ramp"] {
        Value::Null => live,
        ramp => format!("{live}, {} % {}", ramp["percent"], ramp["version"]),
    }
}

/// Creates the workflow, or publishes a new version if there is one of its name.
async fn push(client: &Client, text: String) -> anyhow::Result<Value> {
    let name = serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|it| Some(it.get("name")?.as_str()?.to_owned()));
    let body = text.into_bytes();
    let (mut status, mut answer) =
        client.exchange(Method::POST, "/api/workflows", "application/json", body.clone()).await?;
    if let (StatusCode::CONFLICT, Some(name)) = (status, name) {
        let path = format!("/api/workflows/{name}");
        (status, answer) = client.exchange(Method::PUT, &path, "application/json", body).await?;
    }
    if !status.is_success() {
        bail!("{}", problem(status, &answer));
    }
    Ok(answer)
}
