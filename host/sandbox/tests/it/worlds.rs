//! The two worlds of `stateflow:plugin`: the manifest, the typed errors, the log.

use std::collections::BTreeSet;

use engine::capability::CapabilityKind;
use engine::{
    attempt::LogLevel,
    failure::{ErrorCode, RetryAdvice},
};
use serde_json::{Value, json};
use stateflow_sandbox::{PluginCall, PluginKind, PluginReport, Sandbox};
use testing::guests::of_world;

use crate::{
    bench::{
        LIMITS, admit, attempt, call, code, config, details, failure, output, refusal, sandbox,
    },
    guests::{SPIN, minimal},
};

const MANIFEST: &str =
    r#"{"name":"demo/by-hand","version":"1.2.3","configSchema":{"type":"object"}}"#;

/// A plugin of the world `step`, as wit-bindgen would leave it: what it does depends on the
/// attempt's number.
fn step(describe: &str) -> Vec<u8> {
    of_world(
        "step",
        &format!(
            r#"(module
            (import "stateflow:plugin/log@1.0.0" "log"
                (func $log (param i32 i32 i32 i32 i32)))
            (memory (export "memory") 2)
            (global $heap (mut i32) (i32.const 65536))
            (data (i32.const 1024) {MANIFEST:?})
            (data (i32.const 2048) "card-declined")
            (data (i32.const 2080) "no money left")
            (data (i32.const 2112) "{{\22left\22:0}}")
            (data (i32.const 2144) "orderA-1")
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (global.get $heap))
                (global.set $heap
                    (i32.and (i32.add (i32.add (global.get $heap) (local.get $size)) (i32.const 7))
                        (i32.const -8)))
                (local.get $at))
            (func (export "describe") (result i32)
                {describe}
                (i32.store (i32.const 0) (i32.const 1024))
                (i32.store (i32.const 4) (i32.const {manifest_len}))
                (i32.const 0))
            (func (export "run")
                (param i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i32 i32)
                (param $deadline i64) (param i32 i32) (param $input i32) (param $len i32)
                (result i32)
                (i32.store8 (i32.const 0) (i32.const 1))
                (i64.store (i32.const 16) (i64.const 1500))
                (i32.store8 (i32.const 8) (i32.sub (local.get $attempt) (i32.const 2)))
                (if (i32.le_u (i32.load8_u (i32.const 8)) (i32.const 1)) (then
                    (i32.store (i32.const 16) (i32.const 2048))
                    (i32.store (i32.const 20) (i32.const 13))
                    (i32.store (i32.const 24) (i32.const 2080))
                    (i32.store (i32.const 28) (i32.const 13))
                    (i32.store8 (i32.const 32) (i32.const 1))
                    (i32.store (i32.const 36) (i32.const 2112))
                    (i32.store (i32.const 40) (i32.const 10))))
                (if (i32.eq (local.get $attempt) (i32.const 1)) (then
                    (i32.store (i32.const 512) (i32.const 2144))
                    (i32.store (i32.const 516) (i32.const 5))
                    (i32.store (i32.const 520) (i32.const 2149))
                    (i32.store (i32.const 524) (i32.const 3))
                    (call $log (i32.const 3) (i32.const 2080) (i32.const 13)
                        (i32.const 512) (i32.const 1))
                    (i32.store8 (i32.const 0) (i32.const 0))
                    (i32.store (i32.const 8) (local.get $input))
                    (i32.store (i32.const 12) (local.get $len))))
                (i32.const 0)))"#,
            manifest_len = MANIFEST.len(),
        ),
    )
}

async fn call_step(number: u32) -> PluginReport {
    let sandbox = sandbox();
    let plugin = admit(&sandbox, &step("")).await.prepared;
    let call = PluginCall::new(attempt(number), json!({"hello": "world"}), LIMITS);
    sandbox.call(&plugin, call).await
}

#[tokio::test]
async fn a_step_is_admitted_with_its_manifest_and_what_it_imports() {
    let admitted = admit(&sandbox(), &step("")).await;
    assert_eq!(admitted.kind, PluginKind::Step);
    assert_eq!(admitted.imports, ["stateflow:plugin/log@1.0.0", "stateflow:plugin/types@1.0.0"]);
    assert_eq!(admitted.capabilities, BTreeSet::from([CapabilityKind::Log]));
    let manifest = admitted.manifest.unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("demo/by-hand", "1.2.3"));
    assert_eq!(manifest.config_schema, Some(json!({"type": "object"})));
}

#[tokio::test]
async fn a_component_is_admitted_as_it_is() {
    let sandbox = sandbox();
    let first = admit(&sandbox, &step("")).await;
    assert_ne!(first.digest, first.component_digest);
    let again = admit(&sandbox, &first.component).await;
    assert_eq!(again.digest, first.component_digest);
    assert_eq!(again.component, first.component);
    assert_eq!(again.manifest, first.manifest);
}

#[tokio::test]
async fn a_step_answers_and_logs() {
    let report = call_step(1).await;
    assert_eq!(output(&report), &json!({"hello": "world"}));
    let line = &report.report.logs[0];
    assert_eq!((line.level, line.message.as_str()), (LogLevel::Warn, "no money left"));
    assert_eq!(Value::Object(line.fields.clone()), json!({"order": "A-1"}));
}

#[tokio::test]
async fn a_steps_errors_keep_its_own_code_and_say_whether_to_retry() {
    for (number, advice) in [(2, RetryAdvice::Policy), (3, RetryAdvice::Permanent)] {
        let report = call_step(number).await;
        assert_eq!(code(&report), Some(ErrorCode::PluginError));
        assert_eq!(failure(&report).message, "no money left");
        assert_eq!(failure(&report).advice, advice);
        assert_eq!(*details(&report), json!({"code": "card-declined", "details": {"left": 0}}));
    }
}

#[tokio::test]
async fn a_step_can_ask_for_a_pause() {
    let report = call_step(4).await;
    assert_eq!(code(&report), Some(ErrorCode::PluginError));
    assert_eq!(failure(&report).advice, RetryAdvice::AfterMs(1500));
}

#[tokio::test]
async fn a_step_can_say_that_it_was_cancelled() {
    assert_eq!(code(&call_step(5).await), Some(ErrorCode::Cancelled));
}

#[tokio::test]
async fn a_manifest_that_takes_for_ever_is_refused() {
    let (code, sentence) = refusal(&sandbox(), &step(SPIN)).await;
    assert_eq!(code, "PLUGIN_MANIFEST");
    assert!(sentence.contains("FUEL_EXHAUSTED"), "{sentence}");
}

#[tokio::test]
async fn a_manifest_that_is_none_is_refused() {
    let bare = "(i32.store (i32.const 0) (i32.const 2112)) (i32.store (i32.const 4) (i32.const 10))
        (return (i32.const 0))";
    let (code, sentence) = refusal(&sandbox(), &step(bare)).await;
    assert_eq!(code, "PLUGIN_MANIFEST");
    assert!(sentence.contains("name"), "{sentence}");
}

#[tokio::test]
async fn one_function_is_a_plugin() {
    let echo = minimal("", "(return (call $answer (local.get $ptr) (local.get $len)))");
    let admitted = admit(&sandbox(), &echo).await;
    assert_eq!(admitted.kind, PluginKind::Minimal);
    assert!(admitted.imports.is_empty() && admitted.capabilities.is_empty());
}

#[tokio::test]
async fn the_error_of_a_one_function_plugin_is_left_to_the_retry_policy() {
    let failing = minimal(
        "(func $fail (result i32)
            (i32.store8 (i32.const 16) (i32.const 1))
            (i32.store (i32.const 20) (i32.const 1025))
            (i32.store (i32.const 24) (i32.const 2))
            (i32.const 16))",
        "(return (call $fail))",
    );
    let report = call(&sandbox(), &failing, LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::PluginError));
    assert_eq!(
        (failure(&report).message.as_str(), failure(&report).advice),
        ("ok", RetryAdvice::Policy)
    );
}

#[tokio::test]
async fn a_small_pool_is_enough_for_a_manifest() {
    let mut config = config();
    config.max_concurrent_calls = 1;
    let sandbox = Sandbox::new(config).unwrap();
    assert!(sandbox.admit("default", &step("")).await.is_ok());
}
