//! Executions that wait: what a hundred thousand cost while nothing is due, and how soon those go on that fall due at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use crate::sample::Sample;
use crate::stage::{Setting, Stage};
use crate::workloads::Flow;

/// One in so many falls due while the others wait on.
const DUE_SHARE: u64 = 100;
/// How long the rest is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// How often to look.
const POLL: Duration = Duration::from_millis(10);
const WAITING: &str = "select count(*)::float8 from stateflow.executions where status = 'waiting'";
const ENDED: &str = "select count(*)::float8 from stateflow.executions where status = 'succeeded'";

/// The figures are the CPU of a quiet stretch, and the time from the instant that a part falls due to the end of the last.
pub(crate) async fn run(setting: &Setting, n: u64) -> Result<Sample> {
    let due = (n / DUE_SHARE).max(1);
    let mut stage = Stage::set(setting, false).await?;
    Flow::wait().publish(&stage).await?;
    stage.add_worker().await?;
    let later = instant(Utc::now() + TimeDelta::days(1));
    stage.load.submit_batches("flow", &json!({ "until": later }), n - due, 2).await?;
    // Long enough for all to have come to their wait before it is over, and for the quiet stretch.
    let watched = TimeDelta::from_std(WATCHED)?;
    let at = Utc::now() + watched * 3;
    stage.load.submit_batches("flow", &json!({ "until": instant(at) }), due, 1).await?;
    while stage.database.number(WAITING).await? < n as f64 {
        tokio::time::sleep(POLL).await;
    }
    stage.database.checkpoint().await?;
    let before = stage.begin().await?;
    let clock = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let quiet = clock.elapsed().as_secs_f64();
    let sample = stage.end(before, n, 0).await?;
    let left = (at - Utc::now()).to_std();
    ensure!(left.is_ok(), "the machine is too slow: what was to fall due later has fallen due");
    tokio::time::sleep(left?).await;
    let clock = Instant::now();
    while stage.database.number(ENDED).await? < due as f64 {
        tokio::time::sleep(POLL).await;
    }
    let resumed = clock.elapsed();
    let waiting = stage.database.number(WAITING).await? as u64;
    ensure!(waiting == n - due, "{waiting} wait, not {}", n - due);
    stage.strike().await?;
    let percent = |cpu_ms: f64| cpu_ms * n as f64 / 10.0 / quiet;
    let more = [
        ("worker_cpu_percent", percent(sample.cpu_ms.workers)),
        ("postgres_cpu_percent", percent(sample.cpu_ms.postgres)),
        ("resumed_ms", resumed.as_secs_f64() * 1e3),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Ok(Sample { executions_per_second: due as f64 / resumed.as_secs_f64(), more, ..sample })
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
