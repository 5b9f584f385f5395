//! Attempts do not see each other: not one after the other in the same slot, not side by side.

use engine::failure::ErrorCode;
use futures::future::join_all;
use serde_json::{Value, json};
use stateflow_sandbox::Sandbox;

use crate::{
    bench::{LIMITS, admit, call_of, code, config, output, sandbox},
    guests::minimal,
};

/// Grows to 17 pages. With a one-byte input it fills them; with a longer one it answers 1 if any
/// byte is not zero.
fn canary() -> Vec<u8> {
    minimal(
        r#"(data (i32.const 1100) "01")
           (global $seen (mut i32) (i32.const 0))"#,
        "(if (global.get $seen) (then (return (call $answer (i32.const 1101) (i32.const 1)))))
         (global.set $seen (i32.const 1))
         (drop (memory.grow (i32.const 16)))
         (local.set $i (i32.const 8192))
         (if (i32.eq (local.get $len) (i32.const 1))
            (then (memory.fill (local.get $i) (i32.const 85) (i32.const 1105920))
                (return (call $answer (i32.const 1100) (i32.const 1)))))
         (loop $next
            (if (i64.ne (i64.load (local.get $i)) (i64.const 0))
                (then (return (call $answer (i32.const 1101) (i32.const 1)))))
            (local.set $i (i32.add (local.get $i) (i32.const 8)))
            (br_if $next (i32.lt_u (local.get $i) (i32.const 1114112))))
         (return (call $answer (i32.const 1100) (i32.const 1)))",
    )
}

#[tokio::test]
async fn a_slot_that_is_used_again_holds_nothing_of_the_attempt_before() {
    let mut config = config();
    config.max_concurrent_calls = 1;
    let sandbox = Sandbox::new(config).unwrap();
    let plugin = admit(&sandbox, &canary()).await.prepared;
    for _ in 0..20 {
        let wrote = sandbox.call(&plugin, call_of(json!(1), LIMITS)).await;
        assert_eq!(output(&wrote), &json!(0));
        let found = sandbox.call(&plugin, call_of(json!(22), LIMITS)).await;
        assert_eq!(output(&found), &json!(0));
    }
}

#[tokio::test]
async fn many_calls_at_once_each_get_their_own_answer() {
    let echo = minimal("", "(return (call $answer (local.get $ptr) (local.get $len)))");
    let sandbox = sandbox();
    let plugin = admit(&sandbox, &echo).await.prepared;
    let calls = (0..64).map(|n| sandbox.call(&plugin, call_of(json!({"n": n}), LIMITS)));
    for (n, report) in join_all(calls).await.iter().enumerate() {
        assert_eq!(output(report), &json!({"n": n}));
    }
}

#[tokio::test]
async fn the_sandbox_can_be_dropped_inside_async_code() {
    let sandbox = sandbox();
    let plugin = admit(&sandbox, &minimal("", "")).await.prepared;
    let report = sandbox.call(&plugin, call_of(Value::Null, LIMITS)).await;
    drop(sandbox);
    assert_eq!(output(&report), &json!("ok"));
}

#[tokio::test]
async fn a_plugin_of_another_sandbox_is_not_run() {
    let plugin = admit(&sandbox(), &minimal("", "")).await.prepared;
    let report = sandbox().call(&plugin, call_of(Value::Null, LIMITS)).await;
    assert_eq!(code(&report), Some(ErrorCode::Internal));
}
