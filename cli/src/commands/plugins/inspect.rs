//! `plugin inspect`: what a plugin is, as JSON.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::admitting::{admit, sandbox};
use super::check::refuse;
use crate::arguments::InspectOptions;
use crate::client::Client;
use crate::output;

/// Shows a plugin: a file here, or versions on the server.
pub(super) async fn inspect(options: InspectOptions, client: &Client) -> anyhow::Result<ExitCode> {
    let path = Path::new(&options.plugin);
    if !path.is_file() {
        let path = options.plugin.replacen('@', "/", 1).replace('+', "%2B");
        output::json(&client.get(&format!("/api/plugins/{path}")).await?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let ours = sandbox()?;
    let local = match admit(&ours, path, options.manifest.as_deref()).await? {
        Ok(local) => local,
        Err(problems) => return refuse(path, &problems, true),
    };
    let mut shown = local.describe(&ours);
    let module = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    shown["producers"] = sandbox::producers(&module).context("cannot read its producers")?;
    output::json(&shown)?;
    Ok(ExitCode::SUCCESS)
}
