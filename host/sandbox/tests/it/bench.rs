//! A sandbox with small numbers, and the shortest ways to call a guest in it.

use std::time::Duration;

use engine::trace::TraceParent;
use engine::{
    attempt::AttemptContext,
    failure::{ErrorCode, Failure},
};
use serde_json::Value;
use stateflow_sandbox::{
    Admitted, CallLimits, PluginCall, PluginReport, Sandbox, SandboxConfig, SandboxError,
};
use uuid::Uuid;

/// Plenty for every guest that is not about a limit.
pub(crate) const LIMITS: CallLimits =
    CallLimits { fuel: 1_000_000_000, memory_bytes: 16 << 20, timeout: Duration::from_mins(1) };

/// What an endless loop may use: it is to be ended by something else.
pub(crate) const ENDLESS: CallLimits = CallLimits { fuel: u64::MAX / 2, ..LIMITS };

pub(crate) fn config() -> SandboxConfig {
    let mut config = SandboxConfig::new([7; 32]);
    config.max_concurrent_calls = 4;
    config.guest_threads = 2;
    config.ceilings.fuel = u64::MAX / 2;
    config
}

pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(config()).unwrap()
}

pub(crate) fn attempt(number: u32) -> AttemptContext {
    AttemptContext {
        execution_id: Uuid::from_u128(1),
        items: Vec::new(),
        namespace: "default".into(),
        workflow: "w".into(),
        step_id: "s".into(),
        attempt: number,
        trace: TraceParent::of_execution(Uuid::from_u128(1)),
    }
}

pub(crate) fn call_of(config: Value, limits: CallLimits) -> PluginCall {
    PluginCall::new(attempt(1), config, limits)
}

/// Admits a guest and calls it once.
pub(crate) async fn call(sandbox: &Sandbox, wasm: &[u8], limits: CallLimits) -> PluginReport {
    let admitted = admit(sandbox, wasm).await;
    sandbox.call(&admitted.prepared, call_of(Value::Null, limits)).await
}

pub(crate) async fn admit(sandbox: &Sandbox, wasm: &[u8]) -> Admitted {
    match sandbox.admit("default", wasm).await {
        Ok(admitted) => admitted,
        Err(error) => panic!("the guest is refused: {error}"),
    }
}

/// The stable code that the upload is refused with, and the whole sentence.
pub(crate) async fn refusal(sandbox: &Sandbox, wasm: &[u8]) -> (String, String) {
    let error: SandboxError = sandbox.admit("default", wasm).await.unwrap_err();
    (error.code().unwrap_or("(our fault)").to_owned(), error.to_string())
}

pub(crate) fn output(report: &PluginReport) -> &Value {
    report.report.outcome.output().unwrap()
}

pub(crate) fn failure(report: &PluginReport) -> &Failure {
    report.report.outcome.failure().unwrap()
}

pub(crate) fn code(report: &PluginReport) -> Option<ErrorCode> {
    report.report.outcome.failure().map(|failure| failure.code)
}

pub(crate) fn details(report: &PluginReport) -> &Value {
    failure(report).details.as_ref().unwrap()
}
