//! `plugin run`: one attempt in the server's sandbox, here.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use egress::{Caps, Egress, EgressSettings, Grant, Party, Private, Rule};
use engine::attempt::{AttemptContext, LogLine, Outcome};
use engine::capability::{CapabilityKind, CapabilitySet};
use engine::suspension::{Resumption, Suspension, Wake};
use engine::trace::TraceParent;
use sandbox::{CallLimits, Live, PluginCall, PluginReport, Reach};
use serde_json::{Value, json};
use uuid::Uuid;

use super::admitting::{admit, sandbox};
use super::check::refuse;
use super::local_blobs::LocalBlobs;
use super::local_secrets;
use crate::arguments::RunPluginOptions;
use crate::commands::executions::read_json;
use crate::output::{self, Usage};

/// A plugin that suspends itself is called so often at most.
const MAX_CALLS: u32 = 1_000;

/// Runs a plugin once, or with `--resume` until it is done; fails if an attempt does.
pub(super) async fn run(options: RunPluginOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = config(options.input.as_deref())?;
    let sandbox = sandbox()?;
    let judged = admit(&sandbox, &options.plugin.file, options.plugin.manifest.as_deref()).await?;
    let local = match judged {
        Ok(local) => local,
        Err(problems) => return refuse(&options.plugin.file, &problems, as_json),
    };
    let rules = rules(&local.asked, &options.allow_host)?;
    let call = PluginCall {
        holder: Some(local_secrets::holder(&options.secret, &local.asked, &rules)?),
        reach: Some(reach(rules)?),
        blobs: Some(Arc::new(LocalBlobs::default())),
        ..PluginCall::new(attempt(1), config, limits(&options, sandbox.default_limits()))
    };
    let event = options.event.as_deref().map(|given| read_json("the event", given)).transpose()?;
    let begun = Instant::now();
    let mut report = sandbox.call(&local.admitted.prepared, call.clone()).await;
    for number in 2..=MAX_CALLS {
        let Outcome::Suspended(suspension) = &report.report.outcome else { break };
        if !options.resume {
            break;
        }
        note_suspension(suspension);
        let attempt = attempt(number);
        let call = PluginCall {
            attempt,
            live: Live::default(),
            ..resumed(&call, suspension, event.as_ref())
        };
        report = sandbox.call(&local.admitted.prepared, call).await;
    }
    tell(&report, begun.elapsed(), as_json)
}

/// The same call, with what was left. An event is waited for in vain unless one is given.
fn resumed(call: &PluginCall, suspension: &Suspension, event: Option<&Value>) -> PluginCall {
    let event = match &suspension.wake {
        Wake::After(_) | Wake::At(_) => None,
        Wake::Event { name, .. } => event.map(
            |data| json!({ "id": Uuid::now_v7(), "name": name, "data": data, "receivedAt": Utc::now() }),
        ),
    };
    let resumption = Resumption { state: suspension.state.clone(), event };
    PluginCall { resumption: Some(Arc::new(resumption)), ..call.clone() }
}

fn note_suspension(suspension: &Suspension) {
    output::note(&format!("{}; it goes on at once here", described(suspension)));
}

fn described(suspension: &Suspension) -> String {
    let bytes = suspension.state.0.len();
    let wake = match &suspension.wake {
        Wake::After(ms) => format!("for {ms} ms"),
        Wake::At(instant) => {
            format!("until {}", instant.to_rfc3339_opts(SecondsFormat::Millis, true))
        }
        Wake::Event { name, matching, timeout_ms } => {
            let matching = matching.as_ref().map(|it| format!(" for which `{it}`"));
            format!(
                "for the event `{name}`{}, at most {timeout_ms} ms",
                matching.unwrap_or_default()
            )
        }
    };
    format!("the plugin has suspended itself {wake}, and left {bytes} bytes")
}

/// The step's config: `{}`, JSON, or the file that has it.
fn config(given: Option<&str>) -> anyhow::Result<Value> {
    match given {
        None => Ok(json!({})),
        Some(path) if Path::new(path).is_file() => read_json("the input", &format!("@{path}")),
        Some(text) => read_json("the input", text),
    }
}

fn attempt(number: u32) -> AttemptContext {
    let execution_id = Uuid::now_v7();
    AttemptContext {
        execution_id,
        items: Vec::new(),
        namespace: "local".to_owned(),
        workflow: "plugin-run".to_owned(),
        step_id: "run".to_owned(),
        attempt: number,
        trace: TraceParent::of_execution(execution_id),
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

/// What the manifest names and the command line adds.
fn rules(asked: &CapabilitySet, added: &[String]) -> anyhow::Result<Vec<Rule>> {
    let all = asked.subjects(CapabilityKind::Http).chain(added.iter().map(String::as_str));
    let parsed = all.map(|rule| {
        let rule = rule.parse().map_err(|error| Usage(format!("--allow-host {rule}: {error}")))?;
        Ok(rule)
    });
    parsed.collect()
}

/// On the internet and on this machine.
fn reach(rules: Vec<Rule>) -> anyhow::Result<Reach> {
    let party = Party { name: "the manifest and --allow-host".into(), rules };
    let grant = Grant::new(vec![party], Private::loopback(), Caps::default())?;
    Ok(Reach { egress: Egress::new(EgressSettings::default())?, grant: Arc::new(grant) })
}

fn tell(report: &PluginReport, took: Duration, as_json: bool) -> anyhow::Result<ExitCode> {
    let cost = json!({
        "fuelUsed": report.fuel_used,
        "peakMemoryBytes": report.peak_memory_bytes,
        "ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    });
    let outcome = &report.report.outcome;
    let code = if outcome.failure().is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if as_json {
        let suspended = match outcome {
            Outcome::Suspended(suspension) => Some(described(suspension)),
            _ => None,
        };
        output::json(
            &json!({ "output": outcome.output(), "error": outcome.failure(), "suspended": suspended,
            "logs": report.report.logs, "cost": cost }),
        )?;
        return Ok(code);
    }
    for line in &report.report.logs {
        output::note(&log_line(line));
    }
    match outcome {
        Outcome::Succeeded(value) => output::json(value)?,
        Outcome::Suspended(suspension) => {
            output::note(&format!("{}: --resume goes on", described(suspension)));
        }
        Outcome::Failed(failure) => {
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
