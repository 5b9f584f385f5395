//! `plugin list`.

use std::process::ExitCode;

use serde_json::Value;

use crate::client::Client;
use crate::output;

/// Lists plugins.
pub(super) async fn list(client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let page = client.get("/api/plugins").await?;
    if as_json {
        output::json(&page["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let rows = items
        .iter()
        .map(|it| {
            ["name", "version", "status", "kind", "digest"].map(|field| text(it, field)).into()
        })
        .collect();
    output::table(
        &["NAME", "VERSION", "STATUS", "KIND", "DIGEST"],
        rows,
        "no plugins; begin one: stateflow plugin new NAME --lang rust",
    )?;
    Ok(ExitCode::SUCCESS)
}
