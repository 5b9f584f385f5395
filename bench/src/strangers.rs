//! Plugins as their operator fears them: guests that never end on every core, modules that take a compiler long; and what
//! everybody waits for, a plugin to be ready.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use serde_json::json;
use testing::{bombs, guests};

use crate::http::Connection;
use crate::machine;
use crate::sample::{Sample, quantiles, spread_of};
use crate::stage::{Setting, Stage};
use crate::workloads::Flow;

/// How long guests spin while others are served.
const SPINNING: Duration = Duration::from_secs(20);
/// How often to look.
const POLL: Duration = Duration::from_millis(5);
/// What no loop uses up.
const FUEL: u64 = 1 << 50;
const LEASE: &str = "select extract(epoch from max(lease_until))::float8 from stateflow.workers";
const CANCELLED: &str =
    "select count(*)::float8 from stateflow.executions where status = 'cancelled'";

/// A guest in an endless loop on every core: how long calls of the API and heartbeats take beside them, and how long it
/// takes until all are cancelled. API and worker are one process. Heartbeats go out three times in a lease: give
/// `--lease-ms 3000` to see many.
pub(crate) async fn endless(setting: &Setting, calls: u64) -> Result<Sample> {
    let mut stage = Stage::set(setting, true).await?;
    let flow = Flow::log();
    flow.publish(&stage).await?;
    stage.warm_up("flow", &flow.input, flow.steps).await?;
    let loops = std::thread::available_parallelism()?.get();
    upload(&stage, "?name=demo/endless&version=1.0.0", guests::endless()).await?;
    let step = json!({ "id": "loop", "type": "demo/endless@^1", "timeoutMs": 600_000,
        "limits": { "fuel": FUEL } });
    stage.load.publish(&json!({ "name": "endless", "steps": [step] })).await?;
    let ids = begin(&stage, loops).await?;
    until_running(&stage, loops).await?;

    let before = stage.begin().await?;
    let one = crate::load::Load { in_flight: 1, ..stage.load.clone() };
    let (beats, calls) = tokio::join!(beats(&stage), one.submit("flow", &flow.input, calls));
    let (late, calls) = (beats?, calls?);
    let count = calls.len() as u64;
    let latency_ms = quantiles(calls);
    let sample = stage.end(before, count, flow.steps).await?;
    let cancelled_ms = cancel(&stage, &ids).await?;
    stage.strike().await?;
    let more =
        [("loops", loops as f64), ("heartbeat_late_ms", late), ("cancelled_ms", cancelled_ms)];
    let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Ok(Sample { latency_ms, more, ..sample })
}

async fn begin(stage: &Stage<'_>, loops: usize) -> Result<Vec<String>> {
    let mut connection = Connection::open(&stage.api.host).await?;
    let mut ids = Vec::new();
    for _ in 0..loops {
        let answer = connection.post("/api/workflows/endless/execute", "{}".into()).await?;
        let answer: serde_json::Value = serde_json::from_slice(&answer)?;
        ids.push(answer["id"].as_str().context("an execution has no id")?.to_owned());
    }
    Ok(ids)
}

async fn until_running(stage: &Stage<'_>, loops: usize) -> Result<()> {
    let line = format!("stateflow_plugin_calls_running{{plugin=\"demo/endless\"}} {loops}");
    let mut connection = Connection::open(&stage.api.host).await?;
    loop {
        let path = "/api/metrics/prometheus";
        let (_, text) = connection.request(Method::GET, path, "text/plain", "".into()).await?;
        if String::from_utf8_lossy(&text).contains(&line) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// By how many milliseconds the latest heartbeat came late, of those in a while: the longest pause between two, less the
/// middle one.
async fn beats(stage: &Stage<'_>) -> Result<f64> {
    let (begun, mut pauses) = (Instant::now(), Vec::new());
    let mut last = stage.database.number(LEASE).await?;
    while begun.elapsed() < SPINNING {
        tokio::time::sleep(POLL).await;
        let lease = stage.database.number(LEASE).await?;
        if lease > last {
            pauses.push((lease - last) * 1e3);
            last = lease;
        }
    }
    // The first pause began before the watch.
    pauses.drain(..1.min(pauses.len()));
    ensure!(pauses.len() > 2, "there were too few heartbeats: pass `-- --lease-ms 3000`");
    let [_, middle, longest] = spread_of(pauses);
    Ok(longest - middle)
}

async fn cancel(stage: &Stage<'_>, ids: &[String]) -> Result<f64> {
    let mut connection = Connection::open(&stage.api.host).await?;
    let begun = Instant::now();
    for id in ids {
        connection.post(&format!("/api/executions/{id}/cancel"), "{}".into()).await?;
    }
    while stage.database.number(CANCELLED).await? < ids.len() as f64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Bombs at the upload, one after the other: how long each keeps its sender waiting, how much memory the server grows by,
/// and how long calls of the API take meanwhile.
pub(crate) async fn bombs(setting: &Setting, calls: u64) -> Result<Sample> {
    let mut stage = Stage::set(setting, true).await?;
    let flow = Flow::log();
    flow.publish(&stage).await?;
    stage.warm_up("flow", &flow.input, flow.steps).await?;
    let pid = stage.api.process.pid();
    let resident = machine::resident_bytes(pid);
    let before = stage.begin().await?;
    let one = crate::load::Load { in_flight: 1, ..stage.load.clone() };
    let (refused, served) = tokio::join!(throw(&stage), one.call("flow", &flow.input, calls));
    let (mut more, served) = (refused?, served?);
    let count = served.len() as u64;
    let latency_ms = quantiles(served);
    let sample = stage.end(before, count, flow.steps).await?;
    let grown = machine::peak_bytes(pid).saturating_sub(resident) as f64 / 1e6;
    more.push(("server_grown_mb".to_owned(), grown));
    stage.strike().await?;
    Ok(Sample { latency_ms, more, ..sample })
}

/// How long each bomb's sender waited, in milliseconds.
async fn throw(stage: &Stage<'_>) -> Result<Vec<(String, f64)>> {
    let bombs = [
        ("branch_tables", bombs::branch_tables(300, 190)),
        ("tiny_blocks", bombs::tiny_blocks(20_000)),
        ("functions", bombs::empty_functions(200_000)),
        ("within_all_limits", bombs::locals_and_loops(900, 9_000)),
        ("as_large_as_may_be", vec![0; 32 << 20]),
    ];
    let mut waited = Vec::new();
    for (name, bomb) in bombs {
        let query = format!("?name=demo/{}&version=1.0.0", name.replace('_', "-"));
        let begun = Instant::now();
        let mut connection = Connection::open(&stage.api.host).await?;
        let path = format!("/api/plugins{query}");
        let (status, answer) =
            connection.request(Method::POST, &path, "application/wasm", bomb.into()).await?;
        ensure!(!status.is_server_error(), "{name}: {status} {}", String::from_utf8_lossy(&answer));
        waited.push((format!("{name}_ms"), begun.elapsed().as_secs_f64() * 1e3));
    }
    Ok(waited)
}

/// From the upload of the plugin to its first result; and the first call of it by a process that has run other things
/// before, against one when it is warm.
pub(crate) async fn ready(setting: &Setting, plugin: &std::path::Path) -> Result<Sample> {
    let mut stage = Stage::set(setting, true).await?;
    let flow = Flow::plugin(plugin)?;
    let module = flow.plugin.clone().context("it has a plugin")?;
    let before = stage.begin().await?;
    let begun = Instant::now();
    upload(&stage, "", module).await?;
    let uploaded = begun.elapsed().as_secs_f64() * 1e3;
    stage.load.publish(&flow.definition).await?;
    let one = crate::load::Load { in_flight: 1, ..stage.load.clone() };
    one.call("flow", &flow.input, 1).await?;
    let first = begun.elapsed().as_secs_f64() * 1e3;
    let plain = json!({ "name": "plain", "steps": [{ "id": "say", "type": "log", "config": { "message": "hi" } }] });
    stage.load.publish(&plain).await?;
    stage.restart_api().await?;
    let one = crate::load::Load { in_flight: 1, ..stage.load.clone() };
    // Connections and statements are not the plugin's.
    one.call("plain", &flow.input, 20).await?;
    let cold = one.call("flow", &flow.input, 1).await?;
    one.call("flow", &flow.input, 20).await?;
    let warm = one.call("flow", &flow.input, 20).await?;
    let [_, warm, _] = spread_of(warm);
    let Some(cold) = cold.first() else { bail!("there was no call") };
    let sample = stage.end(before, 62, flow.steps).await?;
    stage.strike().await?;
    let more = [
        ("uploaded_ms", uploaded),
        ("first_result_ms", first),
        ("after_restart_ms", *cold),
        ("warm_ms", warm),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Ok(Sample { more, ..sample })
}

async fn upload(stage: &Stage<'_>, query: &str, module: Vec<u8>) -> Result<()> {
    let mut connection = Connection::open(&stage.api.host).await?;
    let path = format!("/api/plugins{query}");
    let (status, answer) =
        connection.request(Method::POST, &path, "application/wasm", module.into()).await?;
    ensure!(status.is_success(), "the plugin was refused: {}", String::from_utf8_lossy(&answer));
    Ok(())
}
