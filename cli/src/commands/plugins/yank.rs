//! `plugin yank`, and back.

use std::process::ExitCode;

use serde_json::json;

use super::push::plain;
use super::{name_and_version, path_of};
use crate::arguments::YankOptions;
use crate::client::Client;
use crate::output;

/// Takes a version back, or brings it back.
pub(super) async fn yank(
    options: YankOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let decision = options.decision;
    let (name, version) = name_and_version(&decision.plugin)?;
    let body = json!({ "by": decision.by, "reason": decision.reason, "undo": options.undo });
    let changed = client.post(&format!("{}/yank", path_of(name, version)), &body).await?;
    if as_json {
        output::json(&changed)?;
    } else {
        output::line(format!("{} is {}", decision.plugin, plain(&changed["status"])))?;
    }
    Ok(ExitCode::SUCCESS)
}
