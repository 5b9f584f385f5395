//! Cancelling is real: the guest is gone and its slot free, whatever it was doing.

use engine::failure::ErrorCode;
use serde_json::{Value, json};
use stateflow_sandbox::{PluginCall, PluginReport, Prepared, Sandbox};
use tokio::task::JoinHandle;

use crate::{
    bench::{ENDLESS, LIMITS, admit, call_of, code, config, output},
    guests::{SPIN, minimal, program, sleeper},
};

/// Cancels a guest while it runs, then needs the only slot for another.
async fn cancelled_and_then_another(guest: &[u8]) -> (PluginReport, PluginReport) {
    let mut config = config();
    config.max_concurrent_calls = 1;
    config.guest_threads = 1;
    let sandbox = Sandbox::new(config).unwrap();
    let endless = admit(&sandbox, guest).await.prepared;
    let quick = admit(&sandbox, &minimal("", "")).await.prepared;
    let first = cancelled_while_running(&sandbox, &endless).await;
    let second = sandbox.call(&quick, call_of(Value::Null, LIMITS)).await;
    (first, second)
}

/// Cancels later and later until the guest had got to work: its fuel tells.
async fn cancelled_while_running(sandbox: &Sandbox, plugin: &Prepared) -> PluginReport {
    for patience in 0..40_u32 {
        let call = call_of(Value::Null, ENDLESS);
        let cancel = call.cancel.clone();
        let running = started(sandbox, plugin, call).await;
        for _ in 0..1_u64 << patience {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
        let report = running.await.unwrap();
        assert_eq!(code(&report), Some(ErrorCode::Cancelled));
        if report.fuel_used > 0 {
            return report;
        }
    }
    panic!("the guest never started");
}

/// Starts a call and waits until it holds a slot.
async fn started(
    sandbox: &Sandbox,
    plugin: &Prepared,
    call: PluginCall,
) -> JoinHandle<PluginReport> {
    let before = sandbox.calls_in_flight();
    let (ours, theirs) = (sandbox.clone(), plugin.clone());
    let running = tokio::spawn(async move { ours.call(&theirs, call).await });
    while sandbox.calls_in_flight() == before {
        tokio::task::yield_now().await;
    }
    running
}

#[tokio::test]
async fn an_endless_loop_is_cancelled_and_its_slot_is_free_again() {
    let (first, second) = cancelled_and_then_another(&minimal("", SPIN)).await;
    assert_eq!(code(&first), Some(ErrorCode::Cancelled));
    assert_eq!(output(&second), &json!("ok"));
}

#[tokio::test]
async fn a_guest_that_waits_in_the_host_is_cancelled() {
    let (first, second) = cancelled_and_then_another(&sleeper()).await;
    assert_eq!(code(&first), Some(ErrorCode::Cancelled));
    assert_eq!(output(&second), &json!("ok"));
}

#[tokio::test]
async fn cancelling_one_guest_leaves_its_neighbours_alone() {
    let sandbox = Sandbox::new(config()).unwrap();
    let endless = admit(&sandbox, &minimal("", SPIN)).await.prepared;
    let one = call_of(Value::Null, ENDLESS);
    let other = call_of(Value::Null, ENDLESS);
    let (stop_one, stop_other) = (one.cancel.clone(), other.cancel.clone());
    let one = started(&sandbox, &endless, one).await;
    let other = started(&sandbox, &endless, other).await;
    stop_one.cancel();
    assert_eq!(code(&one.await.unwrap()), Some(ErrorCode::Cancelled));
    assert!(!other.is_finished());
    stop_other.cancel();
    assert_eq!(code(&other.await.unwrap()), Some(ErrorCode::Cancelled));
}

#[tokio::test]
async fn a_call_that_is_no_longer_awaited_gives_its_slot_back() {
    let mut config = config();
    config.max_concurrent_calls = 1;
    let sandbox = Sandbox::new(config).unwrap();
    let endless = admit(&sandbox, &minimal("", SPIN)).await.prepared;
    let quick = admit(&sandbox, &minimal("", "")).await.prepared;
    let running = started(&sandbox, &endless, call_of(Value::Null, ENDLESS)).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let report = sandbox.call(&quick, call_of(Value::Null, LIMITS)).await;
    assert_eq!(output(&report), &json!("ok"));
}

#[tokio::test]
async fn what_was_logged_before_a_cancel_is_kept() {
    let sandbox = Sandbox::new(config()).unwrap();
    let talking = program(
        r#"(data (i32.const 2048) "started\n")"#,
        &format!("(call $print (i32.const 2) (i32.const 2048) (i32.const 8)) {SPIN}"),
    );
    let plugin = admit(&sandbox, &talking).await.prepared;
    let limits =
        stateflow_sandbox::CallLimits { timeout: std::time::Duration::from_millis(100), ..ENDLESS };
    let report = sandbox.call(&plugin, call_of(Value::Null, limits)).await;
    assert_eq!(code(&report), Some(ErrorCode::Timeout));
    assert_eq!(report.report.logs[0].message, "started");
}
