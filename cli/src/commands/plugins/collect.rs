//! `plugin collect`: what nobody uses goes.

use std::process::ExitCode;

use serde_json::json;

use super::push::listed;
use crate::arguments::CollectOptions;
use crate::client::Client;
use crate::output;

/// Removes yanked versions that no workflow version uses, or says which.
pub(super) async fn collect(
    options: &CollectOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut body = json!({ "by": options.by, "dryRun": options.dry_run });
    if let Some(kept) = options.yanked_for_ms {
        body["yankedForMs"] = json!(kept);
    }
    let found = client.post("/api/plugins/collect", &body).await?;
    if as_json {
        output::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let went = if options.dry_run { "would go" } else { "went" };
    output::line(format!(
        "{went}: {} ({} blobs, {} bytes)",
        listed(&found["versions"]),
        found["blobs"],
        found["bytes"]
    ))?;
    Ok(ExitCode::SUCCESS)
}
