//! `plugin`: uploading and looking at plugins.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use reqwest::Method;
use sandbox::{Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::arguments::{InspectOptions, PushOptions};
use crate::client::{Client, problem};
use crate::{configuration, output};

/// Uploads a plugin.
pub(crate) async fn push(
    options: PushOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let module = std::fs::read(&options.file)
        .with_context(|| format!("cannot read {}", options.file.display()))?;
    let (name, version) = identity(&options)?;
    let query: Vec<_> = [("name", name), ("version", version)]
        .into_iter()
        .filter_map(|(field, value)| Some(format!("{field}={}", value?.replace('+', "%2B"))))
        .collect();
    let path = format!("/api/plugins?{}", query.join("&"));
    let (status, answer) = client.exchange(Method::POST, &path, "application/wasm", module).await?;
    if !status.is_success() {
        bail!("{}", problem(status, &answer));
    }
    if as_json {
        output::json(&answer)?;
    } else {
        let text = |field: &str| answer[field].as_str().unwrap_or_default();
        let again = if status.as_u16() == 200 { " (already there)" } else { "" };
        output::line(format!("{}@{} {}{again}", text("name"), text("version"), text("digest")))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn identity(options: &PushOptions) -> anyhow::Result<(Option<String>, Option<String>)> {
    let Some(path) = &options.manifest else {
        return Ok((options.name.clone(), options.version.clone()));
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let field = |name: &str| manifest.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok((field("name"), field("version")))
}

/// Lists plugins.
pub(crate) async fn list(client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let page = client.get("/api/plugins").await?;
    if as_json {
        output::json(&page["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let rows = items
        .iter()
        .map(|it| vec![text(it, "name"), text(it, "version"), text(it, "kind"), text(it, "digest")])
        .collect();
    output::table(
        &["NAME", "VERSION", "KIND", "DIGEST"],
        rows,
        "no plugins; upload one: stateflow plugin push FILE",
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Shows a plugin: a file here, or a version on the server.
pub(crate) async fn inspect(options: InspectOptions, client: &Client) -> anyhow::Result<ExitCode> {
    let path = Path::new(&options.plugin);
    let shown = if path.is_file() {
        let module =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let sandbox = Sandbox::new(SandboxConfig {
            isolation: configuration::compiler()?,
            ..SandboxConfig::new(rand::random())
        })?;
        let admitted = sandbox.admit("local", &module).await?;
        json!({
            "digest": admitted.digest, "kind": admitted.kind, "imports": admitted.imports,
            "capabilities": admitted.capabilities, "manifest": admitted.manifest,
        })
    } else {
        let path = options.plugin.replacen('@', "/", 1);
        client.get(&format!("/api/plugins/{path}")).await?
    };
    output::json(&shown)?;
    Ok(ExitCode::SUCCESS)
}
