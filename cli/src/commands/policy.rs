//! `policy` and `audit`: what the namespace is allowed, and who decided what.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::executions::read_json;
use crate::arguments::PolicyCommand;
use crate::client::Client;
use crate::moment::ago;
use crate::output;

/// Where the policy is.
const PATH: &str = "/api/namespaces/default/policy";

/// Shows the policy, or replaces it.
pub(crate) async fn policy(
    command: PolicyCommand,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Show => output::json(&client.get(PATH).await?)?,
        PolicyCommand::Set { file, by, revision } => {
            let policy = read_json("the policy", &format!("@{}", file.display()))?;
            let body = json!({ "by": by, "revision": revision, "policy": policy });
            let stored = client.put(PATH, &body).await?;
            if as_json {
                output::json(&stored)?;
            } else {
                output::line(format!("revision {}", stored["revision"]))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists decisions, newest first.
pub(crate) async fn audit(limit: u32, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let page = client.get(&format!("/api/audit?limit={limit}")).await?;
    if as_json {
        output::json(&page["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let row = |item: &Value| {
        let mut row = vec![ago(&item["at"])];
        row.extend(["actor", "action", "subject"].map(|field| text(item, field)));
        row.push(text(&item["detail"], "reason"));
        row
    };
    let headers = ["WHEN", "BY", "ACTION", "SUBJECT", "REASON"];
    output::table(&headers, items.iter().map(row).collect(), "no decisions yet")?;
    Ok(ExitCode::SUCCESS)
}
