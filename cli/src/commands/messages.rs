//! `event`, `signal` and `approvals`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::executions::{acknowledge, read_json, text};
use crate::arguments::{
    ApprovalsCommand, ApprovalsOptions, DecideOptions, EventOptions, SignalOptions,
};
use crate::client::Client;
use crate::output;

/// Sends an event.
pub(crate) async fn event(
    options: EventOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let data = read_json("the data", &options.data)?;
    let body = json!({ "event": options.name, "data": data, "id": options.id });
    let answer = client.post("/api/events", &body).await?;
    acknowledge(&answer, said(&answer), as_json)
}

/// Sends a signal to one execution.
pub(crate) async fn signal(
    options: SignalOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let SignalOptions { execution, event } = options;
    let data = read_json("the data", &event.data)?;
    let body = json!({ "name": event.name, "data": data, "id": event.id });
    let answer = client.post(&format!("/api/executions/{execution}/signal"), &body).await?;
    acknowledge(&answer, said(&answer), as_json)
}

fn said(answer: &Value) -> &'static str {
    if answer["duplicate"] == true { "was sent before: nothing done" } else { "sent" }
}

/// Lists what people are asked, or answers.
pub(crate) async fn approvals(
    options: ApprovalsOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if let Some(ApprovalsCommand::Decide(decision)) = options.command {
        return decide(decision, client, as_json).await;
    }
    let approver = options.approver.map_or_else(String::new, |name| format!("&approver={name}"));
    let page = client.get(&format!("/api/approvals?limit=500{approver}")).await?;
    if as_json {
        output::json(&page["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let rows = items.iter().map(|it| {
        let names = it["approvers"].as_array().into_iter().flatten().map(text);
        let decided = it["decisions"].as_array().map_or(0, Vec::len);
        vec![
            text(&it["id"]),
            text(&it["workflow"]),
            text(&it["step"]),
            text(&it["message"]),
            names.collect::<Vec<_>>().join(", "),
            format!("{decided} of {}", it["count"]),
        ]
    });
    output::table(
        &["EXECUTION", "WORKFLOW", "STEP", "MESSAGE", "ASKED", "APPROVED"],
        rows.collect(),
        "nobody is asked anything",
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn decide(
    options: DecideOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let form = options.form.as_deref().map(|form| read_json("the form", form)).transpose()?;
    let body = json!({ "by": options.by, "approved": !options.reject, "comment": options.comment, "form": form });
    let answer = client.post(&format!("/api/approvals/{}/decide", options.id), &body).await?;
    let what = if options.reject { "told no" } else { "told yes" };
    acknowledge(&answer, what, as_json)
}
