//! `plugin inspect`: what a plugin is, as JSON.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Map, Value, json};
use wasm_metadata::Producers;

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
    let sandbox = sandbox()?;
    let local = match admit(&sandbox, path, options.manifest.as_deref()).await? {
        Ok(local) => local,
        Err(problems) => return refuse(path, &problems, true),
    };
    let mut shown = local.describe(&sandbox);
    let module = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    shown["producers"] = producers(&module)?;
    output::json(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// The tools that made it, by their own word: the custom section `producers` of the module, or of the component as a
/// whole.
fn producers(module: &[u8]) -> anyhow::Result<Value> {
    let all = Producers::from_wasm(module).context("cannot read the producers")?;
    let all = all.unwrap_or_else(Producers::empty);
    let fields = all.iter().map(|(field, tools)| {
        let tools: Map<_, _> =
            tools.iter().map(|(tool, version)| (tool.clone(), json!(version))).collect();
        (field.clone(), Value::Object(tools))
    });
    Ok(Value::Object(fields.collect()))
}
