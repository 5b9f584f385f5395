//! Measures what a call of a plugin of the world `step` costs: warm calls one after the other, and many at a time, each
//! beside wasmtime alone with the same component and engine, driven alike; how long calls of many callers take; then how
//! long cancelling an endless loop takes. Prints numbers and asserts nothing.
//!
//! `cargo run --release -p stateflow-sandbox --example call_cost -- PLUGIN.wasm '{"title":"x"}'
//! [CALLS]`

#![expect(clippy::print_stdout, reason = "its output is what it is for")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod raw;

use std::{
    error::Error,
    fs, thread,
    time::{Duration, Instant},
};

use engine::attempt::AttemptContext;
use engine::trace::TraceParent;
use futures::StreamExt as _;
use serde_json::Value;
use stateflow_sandbox::{Admitted, PluginCall, PluginReport, Prepared, Sandbox, SandboxConfig};
use uuid::Uuid;

use raw::{Epochs, Raw};

/// Calls before the clock starts.
const WARM_UP: usize = 200;

/// Calls in flight where many are: the guests' thread always has the next at hand.
const IN_FLIGHT: usize = 8;

/// How often the sandbox's clock ticks while guests run.
const TICK: Duration = Duration::from_millis(5);

/// Callers at the same time, on as many threads as there are cores.
const CALLERS: usize = 64;

/// Turns of wasmtime alone and of the sandbox, one after the other: the machine's speed changes, and meets both.
const TURNS: usize = 5;

/// Sandboxes that find the plugin on disk.
const RESTARTS: usize = 50;

/// Endless loops that are cancelled.
const CANCELS: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: call_cost PLUGIN.wasm JSON [CALLS]")?;
    let plugin = fs::read(path)?;
    let config: Value = serde_json::from_str(&args.next().unwrap_or_else(|| "null".into()))?;
    let calls: usize = args.next().map_or(Ok(10_000), |text| text.parse())?;

    let mut settings = SandboxConfig::new([0; 32]);
    settings.guest_threads = 1;
    let sandbox = Sandbox::new(settings)?;
    let admitted = sandbox.admit("default", &plugin).await?;
    let receipt = admitted.prepared.receipt();
    println!("{:?}, compiled in {} ms to {} bytes", admitted.kind, receipt.ms, receipt.bytes);

    measure(&sandbox, &admitted.prepared, &config, WARM_UP).await?;
    let (times, fuel) = measure(&sandbox, &admitted.prepared, &config, calls).await?;
    print_times(&format!("{calls} warm calls of {fuel} fuel"), times);
    for in_flight in [1, IN_FLIGHT] {
        compare(&sandbox, &admitted, &config, (calls, in_flight)).await?;
    }
    let (ours, prepared, what) = (sandbox.clone(), admitted.prepared.clone(), config.clone());
    let times = thread::spawn(move || crowd(&ours, &prepared, &what, calls / CALLERS)).join();
    print_times(&format!("calls of {CALLERS} callers at once"), times.map_err(|_| "a panic")??);
    print_times("first call of a plugin that is on disk", restarts(&plugin, &config).await?);
    print_times(&format!("{CANCELS} cancels of an endless loop"), cancels(&sandbox).await?);
    Ok(())
}

async fn measure(
    sandbox: &Sandbox,
    plugin: &Prepared,
    config: &Value,
    calls: usize,
) -> Result<(Vec<Duration>, u64), Box<dyn Error>> {
    let mut times = Vec::with_capacity(calls);
    let mut fuel = 0;
    for _ in 0..calls {
        let call = call_of(sandbox, config.clone());
        let start = Instant::now();
        let report = sandbox.call(plugin, call).await;
        times.push(start.elapsed());
        succeeded(&report)?;
        fuel = report.fuel_used;
    }
    Ok((times, fuel))
}

/// Time and CPU of a call by wasmtime alone and by the sandbox, each kept busy: the median over the turns.
async fn compare(
    sandbox: &Sandbox,
    admitted: &Admitted,
    config: &Value,
    (calls, in_flight): (usize, usize),
) -> Result<(), Box<dyn Error>> {
    let raw = Raw::new(sandbox.engine(), &admitted.component, config.to_string())?;
    let (mut alone, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let (epochs, clock) = (Epochs::tick(sandbox.engine(), TICK), Clock::start()?);
        let requests = (0..calls).map(|_| raw.call());
        let mut outcomes = futures::stream::iter(requests).buffer_unordered(in_flight);
        while let Some(outcome) = outcomes.next().await {
            outcome?;
        }
        alone.push(clock.per_call(calls)?);
        drop(epochs);
        let clock = Clock::start()?;
        let requests =
            (0..calls).map(|_| sandbox.call(&admitted.prepared, call_of(sandbox, config.clone())));
        let mut reports = futures::stream::iter(requests).buffer_unordered(in_flight);
        while let Some(report) = reports.next().await {
            succeeded(&report)?;
        }
        ours.push(clock.per_call(calls)?);
    }
    println!("{in_flight} in flight:");
    let alone = print_cost("  wasmtime alone", alone);
    let ours = print_cost("  sandbox", ours);
    println!("  sandbox / wasmtime: time {:.2}, CPU {:.2}", ours.0 / alone.0, ours.1 / alone.1);
    Ok(())
}

/// How long the calls of many callers take, in microseconds of wall clock each.
fn crowd(
    sandbox: &Sandbox,
    plugin: &Prepared,
    config: &Value,
    each: usize,
) -> Result<Vec<Duration>, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let callers = (0..CALLERS).map(|_| {
            let (sandbox, plugin, config) = (sandbox.clone(), plugin.clone(), config.clone());
            tokio::spawn(async move {
                let measured = measure(&sandbox, &plugin, &config, each).await;
                measured.map(|(times, _)| times).map_err(|error| error.to_string())
            })
        });
        let mut times = Vec::new();
        for caller in callers.collect::<Vec<_>>() {
            times.extend(caller.await.map_err(|error| error.to_string())??);
        }
        Ok(times)
    })
}

/// Wall clock and this process's CPU.
struct Clock {
    at: Instant,
    cpu: Duration,
}

impl Clock {
    fn start() -> Result<Self, Box<dyn Error>> {
        Ok(Self { at: Instant::now(), cpu: cpu_time()? })
    }

    /// Microseconds of time and of CPU.
    fn per_call(&self, calls: usize) -> Result<(f64, f64), Box<dyn Error>> {
        let each = |whole: Duration| whole.as_secs_f64() * 1e6 / calls as f64;
        Ok((each(self.at.elapsed()), each(cpu_time()?.saturating_sub(self.cpu))))
    }
}

/// The scheduler's own count for this process's threads, in nanoseconds (proc(5), `schedstat`).
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let counts = fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = counts.split(' ').next().unwrap_or_default();
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn print_cost(what: &str, mut costs: Vec<(f64, f64)>) -> (f64, f64) {
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (time, cpu) = costs[costs.len() / 2];
    println!("{what}: {time:.1} µs a call, {cpu:.1} µs of CPU");
    (time, cpu)
}

/// As after a restart: the sandbox is new, and the plugin's machine code is in the cache on disk.
async fn restarts(plugin: &[u8], config: &Value) -> Result<Vec<Duration>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut settings = SandboxConfig::new([0; 32]);
    settings.cache_dir = Some(folder.path().to_owned());
    let digest = Sandbox::new(settings.clone())?.admit("default", plugin).await?.component_digest;
    let mut times = Vec::with_capacity(RESTARTS);
    for _ in 0..RESTARTS {
        let sandbox = Sandbox::new(settings.clone())?;
        let start = Instant::now();
        let prepared = sandbox.cached(&digest).await.ok_or("it is not in the cache")?;
        succeeded(&sandbox.call(&prepared, call_of(&sandbox, config.clone())).await)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

async fn cancels(sandbox: &Sandbox) -> Result<Vec<Duration>, Box<dyn Error>> {
    let endless = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop $spin (br $spin))))"#,
    )?;
    let plugin = sandbox.admit("default", &endless).await?.prepared;
    let mut times = Vec::with_capacity(CANCELS);
    for _ in 0..CANCELS {
        let mut call = call_of(sandbox, Value::Null);
        call.limits.fuel = u64::MAX;
        let cancel = call.cancel.clone();
        let (ours, plugin) = (sandbox.clone(), plugin.clone());
        let running = tokio::spawn(async move { ours.call(&plugin, call).await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let start = Instant::now();
        cancel.cancel();
        running.await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn call_of(sandbox: &Sandbox, config: Value) -> PluginCall {
    let attempt = AttemptContext {
        execution_id: Uuid::from_u128(1),
        items: Vec::new(),
        namespace: "default".into(),
        workflow: "measure".into(),
        step_id: "measure".into(),
        attempt: 1,
        trace: TraceParent::of_execution(Uuid::from_u128(1)),
    };
    PluginCall::new(attempt, config, sandbox.default_limits())
}

fn succeeded(report: &PluginReport) -> Result<(), Box<dyn Error>> {
    match report.report.outcome.failure() {
        Some(failure) => Err(failure.to_string().into()),
        None => Ok(()),
    }
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}: p50 {:?}, p95 {:?}, p99 {:?}", at(50), at(95), at(99));
}
