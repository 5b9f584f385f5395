//! `health`, `metrics`, `export` and `workers`: how the system is.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::executions::text;
use crate::arguments::{ExportOptions, HealthOptions};
use crate::client::{Client, problem};
use crate::moment::ago;
use crate::output;

/// How the system is; fails if it does not work.
pub(crate) async fn health(
    options: &HealthOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if options.live || options.ready {
        let path = if options.live { "/api/health/live" } else { "/api/health/ready" };
        let answer = client.get(path).await?;
        if as_json {
            output::json(&answer)?;
        } else {
            output::line(output::good(text(&answer["status"])))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // That it does not work is an answer too.
    let (status, health) = client.ask("/api/admin/health").await?;
    let Some(condition) = health["status"].as_str().filter(|_| health["checks"].is_array()) else {
        bail!("{}", problem(status, &health));
    };
    if as_json {
        output::json(&health)?;
    } else {
        output::lines(&shown(&health))?;
    }
    Ok(if condition == "unhealthy" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn shown(health: &Value) -> String {
    let mut said = format!(
        "{}  StateFlow {}, up {}\n\n",
        output::of_status(&text(&health["status"])),
        text(&health["version"]),
        up(&health["uptime_seconds"]),
    );
    for check in health["checks"].as_array().into_iter().flatten() {
        let mark = match check["status"].as_str() {
            Some("healthy") => output::good("ok  "),
            Some("degraded") => output::warning("warn"),
            _ => output::bad("FAIL"),
        };
        let latency = check["latency_ms"].as_f64().map(|it| format!("answers in {it:.1} ms"));
        let message = check["message"].as_str().map(output::tame);
        let facts: Vec<_> = [message, latency].into_iter().flatten().collect();
        let _ = writeln!(said, "{mark} {:<13} {}", text(&check["name"]), facts.join("; "));
    }
    let alerts: Vec<_> = health["alerts"].as_array().into_iter().flatten().collect();
    if !alerts.is_empty() {
        said.push('\n');
    }
    for alert in alerts {
        let severity = text(&alert["severity"]);
        let severity =
            if severity == "critical" { output::bad(severity) } else { output::warning(severity) };
        let message = output::tame(&text(&alert["message"]));
        let _ = writeln!(said, "{severity}: {message} ({})", text(&alert["check"]));
    }
    said
}

fn up(seconds: &Value) -> String {
    humantime::format_duration(Duration::from_secs(seconds.as_u64().unwrap_or(0))).to_string()
}

/// The system in numbers.
pub(crate) async fn metrics(client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let (metrics, dead_letters) =
        tokio::try_join!(client.get("/api/metrics"), client.get("/api/metrics/dlq"))?;
    if as_json {
        let mut both = metrics;
        // What Prometheus gets is `export`.
        if let Some(both) = both.as_object_mut() {
            both.shift_remove("families");
        }
        both["deadLetterKinds"] = dead_letters["kinds"].clone();
        output::json(&both)?;
        return Ok(ExitCode::SUCCESS);
    }
    for (name, value) in summary(&metrics, &dead_letters) {
        output::line(format!("{} {value}", output::bold(format!("{name:<13}"))))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(metrics: &Value, dead_letters: &Value) -> Vec<(&'static str, String)> {
    let (queue, hour) = (&metrics["queue"], &metrics["lastHour"]);
    let oldest = queue["oldestDueSeconds"].as_f64().unwrap_or(0.0);
    let late =
        if oldest >= 1.0 { format!(" (the longest for {oldest:.0} s)") } else { String::new() };
    let rate = hour["successRate"].as_f64().map(|it| format!(" ({:.1} % succeeded)", it * 100.0));
    let mut lines = vec![
        ("server", format!("{}, up {}", text(&metrics["version"]), up(&metrics["uptimeSeconds"]))),
        ("workers", text(&metrics["workers"])),
        (
            "queue",
            format!(
                "{} due{late}, {} running, {} waiting",
                queue["due"], queue["leased"], queue["later"]
            ),
        ),
        (
            "last hour",
            format!(
                "{} succeeded, {} failed, {} cancelled{}",
                hour["succeeded"],
                hour["failed"],
                hour["cancelled"],
                rate.unwrap_or_default()
            ),
        ),
        ("rate", format!("{:.1} a minute", hour["perMinute"].as_f64().unwrap_or(0.0))),
    ];
    for (code, part) in hour["failureRateByCode"].as_object().into_iter().flatten() {
        let part = part.as_f64().unwrap_or(0.0) * 100.0;
        lines.push(("failures", format!("{part:.1} % {code}")));
    }
    lines.push(("dead letters", text(&dead_letters["total"])));
    for kind in dead_letters["kinds"].as_array().into_iter().flatten() {
        let newest = ago(&kind["newest"]);
        let (count, code) = (&kind["executions"], text(&kind["code"]));
        lines.push(("", format!("{count} {} {code}, the last {newest}", text(&kind["workflow"]))));
    }
    lines
}

/// All metrics, as programs read them.
pub(crate) async fn export(options: &ExportOptions, client: &Client) -> anyhow::Result<ExitCode> {
    let text = if options.prometheus {
        client.text("/api/metrics/prometheus").await?
    } else {
        format!("{:#}\n", client.get("/api/metrics").await?)
    };
    match &options.output {
        Some(file) => write(file, &text)?,
        None => output::lines(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Lists workers.
pub(crate) async fn workers(client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let page = client.get("/api/workers").await?;
    if as_json {
        output::json(&page["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let items = page["items"].as_array().into_iter().flatten();
    let rows = items.map(|it| {
        let facts = ["id", "host", "pid", "build", "concurrency"].map(|field| text(&it[field]));
        let times = ["startedAt", "leaseUntil"].map(|field| ago(&it[field]));
        facts.into_iter().chain(times).collect()
    });
    output::table(
        &["ID", "HOST", "PID", "BUILD", "CONCURRENCY", "STARTED", "LEASE ENDS"],
        rows.collect(),
        "no workers; start one: stateflow worker",
    )?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_check_is_marked_and_its_alert_follows() {
        let health = json!({
            "status": "unhealthy", "version": "1.2.3", "uptime_seconds": 3_725,
            "checks": [
                { "name": "database", "status": "healthy", "latency_ms": 1.25 },
                { "name": "worker_pool", "status": "unhealthy", "message": "0 worker(s)" },
                { "name": "memory", "status": "degraded", "message": "90 MiB of 100 MiB" },
            ],
            "alerts": [{ "severity": "critical", "check": "worker_pool", "message": "0 worker(s)" }],
        });
        let wanted = "unhealthy  StateFlow 1.2.3, up 1h 2m 5s\n\n\
            ok   database      answers in 1.2 ms\n\
            FAIL worker_pool   0 worker(s)\n\
            warn memory        90 MiB of 100 MiB\n\n\
            critical: 0 worker(s) (worker_pool)\n";
        assert_eq!(strip_str(&shown(&health)).to_string(), wanted);
    }
}
