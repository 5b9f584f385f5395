//! The workloads: what each starts, and what its clock covers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::machine;
use crate::sample::{Sample, quantiles};
use crate::stage::{Setting, Stage};
use crate::step_service::StepService;
use crate::strangers;

/// Calls to the batch endpoint at once.
const BATCHES_AT_ONCE: u64 = 2;
/// The most items of one `map`.
const MAX_ITEMS: u64 = 10_000;
/// How long an idle system is watched.
const IDLE: Duration = Duration::from_secs(30);
/// A process of Postgres that falls idle reports what it has counted within ten seconds (`PGSTAT_IDLE_INTERVAL` in
/// pgstat.c): the warm-up must not be counted as idle.
const STATISTICS_SETTLE: Duration = Duration::from_secs(11);

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// One-step executions, started one by one.
    Single,
    /// The same, with spans sent to a collector that only takes them.
    SingleTraced,
    /// The same, started in batches.
    Batch,
    /// The same, all started before the worker.
    Drain,
    /// Five steps one after the other.
    Chain,
    /// One step for each item of lists of up to ten thousand; an item is what is counted.
    Map,
    /// Executions that wait, and a part of them that falls due at once.
    Waits,
    /// An idle system, one call at a time, until the result is there; API and worker in one process.
    Latency,
    /// The same with the worker in a process of its own.
    LatencyApart,
    /// One step in a Rust plugin, all started before the worker.
    Wasm,
    /// One `http` step to a service on this machine.
    Http,
    /// So many worker processes drain one queue.
    Workers(u32),
    /// Inputs and outputs of so many KiB.
    Payload(u32),
    /// Claims while so many thousand others are due, and as many have finished.
    Backlog(u32),
    /// A plugin is uploaded and called, before and after a restart.
    Ready,
    /// Calls while a guest spins on every core.
    Endless,
    /// Calls while modules are uploaded that take a compiler long.
    Bombs,
    /// Events that nobody waits for.
    Events,
    /// A week of history is deleted beside a load of starts; what is counted are the week's executions.
    Retention,
    /// Nothing happens.
    Idle,
    /// Batches while a worker is killed every two seconds.
    Crashes,
}

impl Workload {
    pub(crate) const ALL: [Self; 28] = [
        Self::Single,
        Self::SingleTraced,
        Self::Batch,
        Self::Drain,
        Self::Chain,
        Self::Map,
        Self::Waits,
        Self::Latency,
        Self::LatencyApart,
        Self::Wasm,
        Self::Http,
        Self::Workers(1),
        Self::Workers(2),
        Self::Workers(4),
        Self::Workers(8),
        Self::Payload(1),
        Self::Payload(64),
        Self::Payload(1_000),
        Self::Backlog(10),
        Self::Backlog(1_000),
        Self::Backlog(5_000),
        Self::Ready,
        Self::Endless,
        Self::Bombs,
        Self::Events,
        Self::Retention,
        Self::Idle,
        Self::Crashes,
    ];

    /// The row's name.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Single => "single".to_owned(),
            Self::SingleTraced => "single-traced".to_owned(),
            Self::Batch => "batch".to_owned(),
            Self::Drain => "drain".to_owned(),
            Self::Chain => "chain".to_owned(),
            Self::Map => "map".to_owned(),
            Self::Waits => "waits".to_owned(),
            Self::Latency => "latency".to_owned(),
            Self::LatencyApart => "latency-apart".to_owned(),
            Self::Wasm => "wasm".to_owned(),
            Self::Http => "http".to_owned(),
            Self::Workers(n) => format!("workers-{n}"),
            Self::Payload(kib) => format!("payload-{kib}k"),
            Self::Backlog(thousand) => format!("backlog-{thousand}k"),
            Self::Ready => "ready".to_owned(),
            Self::Endless => "endless".to_owned(),
            Self::Bombs => "bombs".to_owned(),
            Self::Events => "events".to_owned(),
            Self::Retention => "retention".to_owned(),
            Self::Idle => "idle".to_owned(),
            Self::Crashes => "crashes".to_owned(),
        }
    }

    /// How many executions a repetition has at scale 1.
    pub(crate) fn executions(self) -> u64 {
        match self {
            Self::Single | Self::SingleTraced | Self::Wasm | Self::Map | Self::Events => 20_000,
            Self::Batch | Self::Drain | Self::Backlog(_) => 50_000,
            Self::Workers(_) | Self::Waits => 100_000,
            Self::Crashes => 200_000,
            Self::Chain | Self::Http | Self::Payload(1) => 10_000,
            Self::Endless | Self::Bombs => 1_000,
            Self::Latency | Self::LatencyApart | Self::Payload(64) => 500,
            Self::Payload(_) => 100,
            Self::Retention => 1_000_000,
            Self::Idle | Self::Ready => 1,
        }
    }

    /// Runs one repetition and checks what is stored afterwards.
    pub(crate) async fn run(self, setting: &Setting, n: u64, plugin: &Path) -> Result<Sample> {
        match self {
            Self::Single => started(setting, n, How::OneByOne, Vec::new()).await,
            Self::SingleTraced => {
                let collector = StepService::start().await?;
                let endpoint = format!("http://{}", collector.address());
                let traced = vec!["--otlp-endpoint".to_owned(), endpoint];
                started(setting, n, How::OneByOne, traced).await
            }
            Self::Batch => started(setting, n, How::Batches, Vec::new()).await,
            Self::Crashes => started(setting, n, How::BatchesAndCrashes, Vec::new()).await,
            Self::Drain => drain(setting, n, &Flow::log()).await,
            Self::Workers(workers) => share(setting, n, workers).await,
            Self::Wasm => drain(setting, n, &Flow::plugin(plugin)?).await,
            Self::Payload(kib) => drain(setting, n, &Flow::payload(kib)).await,
            Self::Chain => drain(setting, n, &Flow::chain()).await,
            Self::Map => map(setting, n).await,
            Self::Waits => crate::waits::run(setting, n).await,
            Self::Http => {
                let service = StepService::start().await?;
                drain(setting, n, &Flow::http(service.address())).await
            }
            Self::Backlog(thousand) => crate::backlog::run(setting, n, thousand).await,
            Self::Latency => latency(setting, n, true).await,
            Self::LatencyApart => latency(setting, n, false).await,
            Self::Ready => strangers::ready(setting, plugin).await,
            Self::Endless => strangers::endless(setting, n).await,
            Self::Bombs => strangers::bombs(setting, n).await,
            Self::Events => crate::events::run(setting, n).await,
            Self::Retention => crate::retention::run(setting, n).await,
            Self::Idle => idle(setting).await,
        }
    }
}

/// What is executed.
pub(crate) struct Flow {
    pub(crate) definition: Value,
    pub(crate) input: Value,
    pub(crate) steps: u64,
    pub(crate) plugin: Option<Vec<u8>>,
}

impl Flow {
    /// One `log` step.
    pub(crate) fn log() -> Self {
        Self::of(&[json!({ "id": "say", "type": "log", "config": { "message": "hi" } })])
    }

    fn chain() -> Self {
        let step = |n: u32| {
            let mut step =
                json!({ "id": format!("s{n}"), "type": "log", "config": { "message": "hi" } });
            if n < 5 {
                step["next"] = json!(format!("s{}", n + 1));
            }
            step
        };
        Self::of(&[1, 2, 3, 4, 5].map(step))
    }

    /// One wait until an instant.
    pub(crate) fn wait() -> Self {
        Self::of(&[
            json!({ "id": "rest", "type": "wait", "config": { "until": "${input.until}" } }),
        ])
    }

    fn map(items: u64) -> Self {
        let step = json!({ "id": "say", "type": "log", "config": { "message": "hi" } });
        let config = json!({ "items": "${input}", "maxConcurrency": 1_000, "steps": [step] });
        let mut flow = Self::of(&[json!({ "id": "each", "type": "map", "config": config })]);
        flow.input = (0..items).collect();
        flow
    }

    pub(crate) fn plugin(path: &Path) -> Result<Self> {
        let wasm = std::fs::read(path)
            .with_context(|| format!("no plugin at {}: `make bench` builds it", path.display()))?;
        let step = json!({ "id": "slug", "type": "demo/slugify@^1", "config": { "title": "${input.title}" } });
        let input = json!({ "title": "Grüße aus Köln 2026" });
        Ok(Self { plugin: Some(wasm), input, ..Self::of(&[step]) })
    }

    fn http(address: &str) -> Self {
        let config =
            json!({ "url": format!("http://{address}/"), "method": "POST", "body": { "n": 1 } });
        Self::of(&[json!({ "id": "call", "type": "http", "config": config })])
    }

    fn payload(kib: u32) -> Self {
        let fields = json!({ "data": "${input.data}" });
        let config = json!({ "message": "hi", "fields": { "n": 1 } });
        let mut flow = Self::of(&[json!({ "id": "say", "type": "log", "config": config })]);
        flow.definition["output"] = fields;
        flow.input = json!({ "data": "x".repeat(kib as usize * 1024) });
        flow
    }

    fn of(steps: &[Value]) -> Self {
        let count = steps.len() as u64;
        let definition = json!({ "name": "flow", "steps": steps });
        Self { definition, input: json!({ "n": 1 }), steps: count, plugin: None }
    }

    /// Publishes it, with the plugin that it needs.
    pub(crate) async fn publish(&self, stage: &Stage<'_>) -> Result<()> {
        if let Some(wasm) = &self.plugin {
            stage.load.upload(wasm.clone()).await?;
        }
        stage.load.publish(&self.definition).await
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    OneByOne,
    Batches,
    BatchesAndCrashes,
}

/// The clock runs from the first start to the last end.
async fn started(setting: &Setting, n: u64, how: How, more: Vec<String>) -> Result<Sample> {
    let flow = Flow::log();
    let mut stage = Stage::set_with(setting, false, more).await?;
    stage.add_worker().await?;
    flow.publish(&stage).await?;
    stage.warm_up("flow", &flow.input, flow.steps).await?;
    let before = stage.begin().await?;
    let (mut latency_ms, load) = (None, stage.load.clone());
    match how {
        How::OneByOne => latency_ms = quantiles(load.submit("flow", &flow.input, n).await?),
        How::Batches => load.submit_batches("flow", &flow.input, n, BATCHES_AT_ONCE).await?,
        How::BatchesAndCrashes => {
            let batches = load.submit_batches("flow", &flow.input, n, BATCHES_AT_ONCE);
            crate::crashes::during(&mut stage, batches).await?;
        }
    }
    stage.drained().await?;
    let sample = stage.end(before, n, flow.steps).await?;
    // A crash adds records of attempts that are lost; `count` sees only those that succeeded.
    stage.verify(n, flow.steps).await?;
    stage.strike().await?;
    Ok(Sample { latency_ms, ..sample })
}

/// Everything is started first; the clock runs from the start of the worker to the last end.
async fn drain(setting: &Setting, n: u64, flow: &Flow) -> Result<Sample> {
    let mut stage = Stage::set(setting, false).await?;
    flow.publish(&stage).await?;
    stage.load.submit_batches("flow", &flow.input, n, BATCHES_AT_ONCE).await?;
    stage.database.checkpoint().await?;
    let before = stage.begin().await?;
    stage.add_worker().await?;
    stage.drained().await?;
    let sample = stage.end(before, n, flow.steps).await?;
    stage.verify(n, flow.steps).await?;
    stage.strike().await?;
    Ok(sample)
}

/// The same, but all workers are up before the clock starts: nobody gets at the queue until then. What several of them
/// cost is the question, not what their start does.
async fn share(setting: &Setting, n: u64, workers: u32) -> Result<Sample> {
    let flow = Flow::log();
    let mut stage = Stage::set(setting, false).await?;
    flow.publish(&stage).await?;
    stage.load.submit_batches("flow", &flow.input, n, BATCHES_AT_ONCE).await?;
    stage.database.checkpoint().await?;
    let gate = stage.database.lock("stateflow.queue").await?;
    for _ in 0..workers {
        stage.add_worker().await?;
    }
    let before = stage.begin().await?;
    gate.commit().await?;
    stage.drained().await?;
    let sample = stage.end(before, n, flow.steps).await?;
    stage.verify(n, flow.steps).await?;
    stage.strike().await?;
    Ok(sample)
}

/// Lists of items, each begun, run and gathered by the worker. An execution of the row is an item.
async fn map(setting: &Setting, items: u64) -> Result<Sample> {
    let maps = items.div_ceil(MAX_ITEMS);
    let flow = Flow::map(items / maps);
    let mut stage = Stage::set(setting, false).await?;
    flow.publish(&stage).await?;
    stage.load.submit("flow", &flow.input, maps).await?;
    stage.database.checkpoint().await?;
    let before = stage.begin().await?;
    stage.add_worker().await?;
    stage.drained().await?;
    let items = items / maps * maps;
    let sample = stage.end(before, items, 1).await?;
    stage.verify_parts(maps, items, maps + items).await?;
    stage.strike().await?;
    Ok(sample)
}

/// One process is API and worker, as with `stateflow serve`, or they are apart.
async fn latency(setting: &Setting, n: u64, together: bool) -> Result<Sample> {
    let flow = Flow::log();
    let mut stage = Stage::set(setting, together).await?;
    if !together {
        stage.add_worker().await?;
    }
    flow.publish(&stage).await?;
    stage.warm_up("flow", &flow.input, flow.steps).await?;
    let before = stage.begin().await?;
    let one = crate::load::Load { in_flight: 1, ..stage.load.clone() };
    let latency_ms = quantiles(one.call("flow", &flow.input, n).await?);
    let sample = stage.end(before, n, flow.steps).await?;
    stage.verify(n, flow.steps).await?;
    stage.strike().await?;
    Ok(Sample { latency_ms, ..sample })
}

async fn idle(setting: &Setting) -> Result<Sample> {
    let flow = Flow::log();
    let mut stage = Stage::set(setting, true).await?;
    flow.publish(&stage).await?;
    stage.warm_up("flow", &flow.input, flow.steps).await?;
    let pid = stage.api.process.pid();
    tokio::time::sleep(STATISTICS_SETTLE).await;
    let before = stage.begin().await?;
    let (clock, wakes) = (Instant::now(), machine::wake_ups(pid));
    tokio::time::sleep(IDLE).await;
    let wakes = machine::wake_ups(pid) - wakes;
    let watched = clock.elapsed().as_secs_f64();
    let sample = stage.end(before, 1, 0).await?;
    let percent_of_a_core = |cpu_ms: f64| cpu_ms / 10.0 / watched;
    let more = [
        ("rss_mb", machine::resident_bytes(pid) as f64 / 1e6),
        ("cpu_percent", percent_of_a_core(sample.cpu_ms.api)),
        ("postgres_cpu_percent", percent_of_a_core(sample.cpu_ms.postgres)),
        ("statements_per_second", sample.transactions_per_execution / watched),
        ("wake_ups_per_second", wakes as f64 / watched),
        ("start_ms", stage.api.start_ms),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
    stage.verify(0, flow.steps).await?;
    stage.strike().await?;
    Ok(Sample { executions: 0, executions_per_second: 0.0, more, ..sample })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_of_their_own() {
        let mut names: Vec<_> = Workload::ALL.map(Workload::name).to_vec();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Workload::ALL.len());
    }

    #[test]
    fn a_chain_leads_through_all_its_steps() {
        let flow = Flow::chain();
        assert_eq!(flow.steps, 5);
        assert_eq!(flow.definition["steps"][3]["next"], "s5");
        assert_eq!(flow.definition["steps"][4].get("next"), None);
    }
}
