//! Events that nobody waits for: what taking them in costs.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::sample::{Sample, quantiles};
use crate::stage::{Setting, Stage};

const STORED: &str = "select count(*)::float8 from stateflow.messages";

/// The clock runs from the first event to the answer to the last: all are durable then.
pub(crate) async fn run(setting: &Setting, n: u64) -> Result<Sample> {
    let stage = Stage::set(setting, false).await?;
    let event = json!({ "event": "order.paid", "data": { "order": "o-1", "total": 42 } });
    stage.load.send_events(&event, (n / 10).max(1)).await?;
    let stored = stage.database.number(STORED).await?;
    let before = stage.begin().await?;
    let latency_ms = quantiles(stage.load.send_events(&event, n).await?);
    let sample = stage.end(before, n, 0).await?;
    let fresh = stage.database.number(STORED).await? - stored;
    ensure!((fresh - n as f64).abs() < 0.5, "{fresh} events are stored, not {n}");
    stage.strike().await?;
    Ok(Sample { latency_ms, ..sample })
}
