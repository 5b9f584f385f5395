//! `bulk` and `incidents`: what operators do with many executions.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::executions::text;
use crate::arguments::{BulkOptions, IncidentsOptions};
use crate::client::Client;
use crate::output;

/// Does something to many executions.
pub(crate) async fn bulk(
    options: BulkOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut filter = Map::new();
    filter.extend(
        options.filter.given().map(|(field, value)| (field.to_owned(), Value::from(value))),
    );
    if options.dead_letters {
        filter.insert("deadLetter".to_owned(), Value::from(true));
    }
    let mut body = json!({
        "action": options.action, "dryRun": options.dry_run, "rate": options.rate, "canary": options.canary,
        "stopAbove": options.stop_above,
    });
    if options.ids.is_empty() {
        body["filter"] = Value::Object(filter);
    } else {
        body["ids"] = json!(options.ids);
    }
    let answer = client.post("/api/executions/bulk", &body).await?;
    if as_json {
        output::json(&answer)?;
    } else if options.dry_run {
        output::line(format!("{} executions; nothing was done", answer["matched"]))?;
        for id in answer["sample"].as_array().into_iter().flatten() {
            output::line(text(id))?;
        }
    } else {
        output::line(format!(
            "{} of {} executions: see GET /api/executions/bulk/{}",
            options.action,
            answer["matched"],
            text(&answer["id"])
        ))?;
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
