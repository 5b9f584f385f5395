//! Measures what a call costs: warm calls of a plugin one after the other, and how long cancelling
//! an endless loop takes. Prints numbers and asserts nothing.
//!
//! `cargo run --release -p stateflow-sandbox --example call_cost -- PLUGIN.wasm '{"title":"x"}'
//! [CALLS]`

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::{
    error::Error,
    fs,
    time::{Duration, Instant},
};

use engine::attempt::AttemptContext;
use serde_json::Value;
use stateflow_sandbox::{PluginCall, Prepared, Sandbox, SandboxConfig};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Calls before the clock starts.
const WARM_UP: usize = 200;

/// Endless loops that are cancelled.
const CANCELS: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: call_cost PLUGIN.wasm JSON [CALLS]")?;
    let config: Value = serde_json::from_str(&args.next().unwrap_or_else(|| "null".into()))?;
    let calls: usize = args.next().map_or(Ok(10_000), |text| text.parse())?;

    let mut settings = SandboxConfig::new([0; 32]);
    settings.guest_threads = 1;
    let sandbox = Sandbox::new(settings)?;
    let admitted = sandbox.admit(&fs::read(path)?).await?;
    let receipt = admitted.prepared.receipt();
    println!("{:?}, compiled in {} ms to {} bytes", admitted.kind, receipt.ms, receipt.bytes);

    measure(&sandbox, &admitted.prepared, &config, WARM_UP).await?;
    let (times, fuel) = measure(&sandbox, &admitted.prepared, &config, calls).await?;
    print_times(&format!("{calls} warm calls of {fuel} fuel"), times);
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
        report.report.result?;
        fuel = report.fuel_used;
    }
    Ok((times, fuel))
}

async fn cancels(sandbox: &Sandbox) -> Result<Vec<Duration>, Box<dyn Error>> {
    let endless = wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop $spin (br $spin))))"#,
    )?;
    let plugin = sandbox.admit(&endless).await?.prepared;
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
    PluginCall {
        attempt: AttemptContext {
            execution_id: Uuid::from_u128(1),
            namespace: "default".into(),
            workflow: "measure".into(),
            step_id: "measure".into(),
            attempt: 1,
        },
        config,
        limits: sandbox.default_limits(),
        cancel: CancellationToken::new(),
    }
}

fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}: p50 {:?}, p95 {:?}, p99 {:?}", at(50), at(95), at(99));
}
