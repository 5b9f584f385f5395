//! `plugin run`: one attempt in the server's sandbox, here.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use egress::{Caps, Egress, EgressSettings, Grant, Party, Private, Rule};
use engine::attempt::{AttemptContext, LogLine};
use engine::capability::{CapabilityKind, CapabilitySet};
use sandbox::{CallLimits, PluginCall, PluginReport, Reach, Share};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::admitting::{admit, sandbox};
use super::check::refuse;
use crate::arguments::RunPluginOptions;
use crate::commands::executions::read_json;
use crate::output::{self, Usage};

/// Runs a plugin once; fails if the attempt does.
pub(super) async fn run(options: RunPluginOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = config(options.input.as_deref())?;
    let sandbox = sandbox()?;
    let judged = admit(&sandbox, &options.plugin.file, options.plugin.manifest.as_deref()).await?;
    let local = match judged {
        Ok(local) => local,
        Err(problems) => return refuse(&options.plugin.file, &problems, as_json),
    };
    let call = PluginCall {
        attempt: attempt(),
        config,
        limits: limits(&options, sandbox.default_limits()),
        share: Share::WHOLE,
        reach: Some(reach(&local.asked, &options.allow_host)?),
        holder: None,
        cancel: CancellationToken::new(),
    };
    let begun = Instant::now();
    let report = sandbox.call(&local.admitted.prepared, call).await;
    tell(&report, begun.elapsed(), as_json)
}

/// The step's config: `{}`, JSON, or the file that has it.
fn config(given: Option<&str>) -> anyhow::Result<Value> {
    match given {
        None => Ok(json!({})),
        Some(path) if Path::new(path).is_file() => read_json("the input", &format!("@{path}")),
        Some(text) => read_json("the input", text),
    }
}

fn attempt() -> AttemptContext {
    AttemptContext {
        execution_id: Uuid::now_v7(),
        items: Vec::new(),
        namespace: "local".to_owned(),
        workflow: "plugin-run".to_owned(),
        step_id: "run".to_owned(),
        attempt: 1,
    }
}

/// What was asked for; the sandbox lowers it to what a server gives at most.
fn limits(options: &RunPluginOptions, defaults: CallLimits) -> CallLimits {
    CallLimits {
        fuel: options.fuel.unwrap_or(defaults.fuel),
        memory_bytes: options
            .memory_mb
            .map_or(defaults.memory_bytes, |mb| mb.saturating_mul(1 << 20)),
        timeout: options.timeout_ms.map_or(defaults.timeout, Duration::from_millis),
    }
}

/// What the manifest names and the command line adds, on the internet and on this machine.
fn reach(asked: &CapabilitySet, added: &[String]) -> anyhow::Result<Reach> {
    let named = asked.subjects(CapabilityKind::Http);
    let rules: Result<Vec<Rule>, _> = named
        .chain(added.iter().map(String::as_str))
        .map(|rule| rule.parse().map_err(|error| Usage(format!("--allow-host {rule}: {error}"))))
        .collect();
    let party = Party { name: "the manifest and --allow-host".into(), rules: rules? };
    let grant = Grant::new(vec![party], Private::loopback(), Caps::default())?;
    Ok(Reach { egress: Egress::new(EgressSettings::default())?, grant: Arc::new(grant) })
}

fn tell(report: &PluginReport, took: Duration, as_json: bool) -> anyhow::Result<ExitCode> {
    let cost = json!({
        "fuelUsed": report.fuel_used,
        "peakMemoryBytes": report.peak_memory_bytes,
        "ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    let result = &report.report.result;
    let code = if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if as_json {
        let (output, failure) = (result.as_ref().ok(), result.as_ref().err());
        let logs = &report.report.logs;
        output::json(&json!({ "output": output, "error": failure, "logs": logs, "cost": cost }))?;
        return Ok(code);
    }
    for line in &report.report.logs {
        output::note(&log_line(line));
    }
    match result {
        Ok(value) => output::json(value)?,
        Err(failure) => {
            output::complain(&format!("{}: {}", failure.code, failure.message));
            if let Some(details) = json!(failure).get("details").filter(|it| !it.is_null()) {
                output::note(&format!("  {details}"));
            }
        }
    }
    output::note(&format!(
        "{} fuel, {} ms, {} KiB of memory at most",
        report.fuel_used,
        cost["ms"],
        report.peak_memory_bytes >> 10
    ));
    Ok(code)
}

fn log_line(line: &LogLine) -> String {
    let level = super::push::plain(&json!(line.level));
    let fields = if line.fields.is_empty() {
        String::new()
    } else {
        format!(" {}", Value::Object(line.fields.clone()))
    };
    format!("[{level}] {}{fields}", line.message)
}
