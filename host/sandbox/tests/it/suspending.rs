//! Guests that say how far they are, and guests that end to go on another time.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use engine::{
    attempt::Outcome,
    callback::CallbackKey,
    failure::ErrorCode,
    placeholder::Placeholders,
    suspension::{Checkpoint, MAX_NOTE_BYTES, MAX_STATE_BYTES, Resumption, Suspension, Wake},
};
use secrets::{Holder, Opened, Reach, Secret, SecretValue};
use serde_json::{Value, json};
use stateflow_sandbox::{Live, PluginCall, PluginReport};

use crate::{
    bench::{LIMITS, admit, call_of, code, output, refusal, sandbox},
    guests::step,
};

const IMPORTS: &str = r#"
    (import "stateflow:plugin/progress@1.0.0" "heartbeat" (func $heartbeat (param i32 i32)))
    (import "stateflow:plugin/progress@1.0.0" "resumed" (func $resumed (param i32)))
    (import "stateflow:plugin/progress@1.0.0" "suspend"
        (func $suspend (param i32 i32 i32 i64 i32 i32 i32 i32 i64 i32)))"#;

/// Leaves a state of so many bytes of `s` until what is written here, the flattened `wake`; answers why it may not, or, when it
/// goes on, the event or else the state.
fn suspending(bytes: usize, wake: &str) -> Vec<u8> {
    let body = format!(
        "(call $resumed (i32.const 512))
         (if (i32.load8_u (i32.const 512)) (then
             (if (i32.load8_u (i32.const 524)) (then
                 (return (call $answer (i32.load (i32.const 528)) (i32.load (i32.const 532))))))
             (return (call $say (i32.const 46) (i32.load (i32.const 516)) (i32.load (i32.const 520))))))
         (call $heartbeat (i32.const 1024) (i32.const 4))
         (memory.fill (i32.const 131072) (i32.const 115) (i32.const {bytes}))
         (call $suspend (i32.const 131072) (i32.const {bytes}) {wake} (i32.const 512))
         (call $say (i32.const 33) (i32.load (i32.const 516)) (i32.load (i32.const 520)))"
    );
    let data = r#"(data (i32.const 1024) "half") (data (i32.const 1040) "paid") (data (i32.const 1060) "event.data.n == 1")
        (data (i32.const 1100) "input.n == 1") (data (i32.const 1140) "approval:ask")"#;
    step(IMPORTS, data, &body)
}

/// Case 0 is so many milliseconds from now, case 1 an instant.
fn timer(case: u32, ms: i64) -> String {
    let unused = "(i32.const 0) ".repeat(4);
    format!("(i32.const {case}) (i64.const {ms}) {unused} (i64.const 0)")
}

fn until(ms: i64) -> String {
    timer(1, ms)
}

fn event(name: (u32, u32), matching: Option<(u32, u32)>, timeout_ms: i64) -> String {
    let (some, at, len) = matching.map_or((0, 0, 0), |(at, len)| (1, at, len));
    format!(
        "(i32.const 2) (i64.const {}) (i32.const {}) (i32.const {some}) (i32.const {at}) (i32.const {len}) (i64.const {timeout_ms})",
        name.0, name.1
    )
}

const PAID: (u32, u32) = (1040, 4);
const OF_EVENT: (u32, u32) = (1060, 17);

async fn run(wasm: &[u8], call: PluginCall) -> PluginReport {
    let sandbox = sandbox();
    let admitted = admit(&sandbox, wasm).await;
    sandbox.call(&admitted.prepared, call).await
}

fn plain() -> PluginCall {
    call_of(Value::Null, LIMITS)
}

fn suspension(report: &PluginReport) -> &Suspension {
    match &report.report.outcome {
        Outcome::Suspended(suspension) => suspension,
        other => panic!("it is not suspended: {other:?}"),
    }
}

#[tokio::test]
async fn a_guest_ends_with_what_it_leaves_and_what_it_waits_for() {
    let tomorrow = Utc::now().timestamp_millis() + 86_400_000;
    let report = run(&suspending(9, &until(tomorrow)), plain()).await;
    let at = DateTime::<Utc>::from_timestamp_millis(tomorrow).unwrap();
    let state = Checkpoint(b"sssssssss".to_vec());
    assert_eq!(*suspension(&report), Suspension { state, wake: Wake::At(at) });

    let report = run(&suspending(0, &timer(0, 1_500)), plain()).await;
    assert_eq!(suspension(&report).wake, Wake::After(1_500));

    let report = run(&suspending(0, &event(PAID, Some(OF_EVENT), 5_000)), plain()).await;
    let (name, matching) = ("paid".to_owned(), Some("event.data.n == 1".to_owned()));
    assert_eq!(suspension(&report).wake, Wake::Event { name, matching, timeout_ms: 5_000 });
}

#[tokio::test]
async fn what_was_left_comes_back_with_the_event() {
    let wasm = suspending(9, &until(0));
    for (event, wanted) in [(None, json!(".left")), (Some(json!({ "n": 1 })), json!({ "n": 1 }))] {
        let resumption = Resumption { state: Checkpoint(b"left".to_vec()), event };
        let call = PluginCall { resumption: Some(Arc::new(resumption)), ..plain() };
        assert_eq!(*output(&run(&wasm, call).await), wanted);
    }
}

#[tokio::test]
async fn the_state_has_a_most() {
    for (bytes, fits) in [(MAX_STATE_BYTES, true), (MAX_STATE_BYTES + 1, false)] {
        let report = run(&suspending(bytes, &until(0)), plain()).await;
        if fits {
            assert_eq!(suspension(&report).state.0.len(), bytes);
        } else {
            assert!(output(&report).as_str().unwrap().starts_with("!the state has 65537 bytes"));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_waited_for_is_said_to_the_guest() {
    let in_20_years = Utc::now().timestamp_millis() + 20 * 365 * 86_400_000;
    let refused = [
        (until(in_20_years), "!a suspension may last"),
        (until(-1), "!a suspension may last"),
        (event((1140, 12), None, 1), "!`approval:ask` is no name of an event"),
        (event(PAID, Some((1100, 12)), 1), "!the expression for the event may read"),
        (event(PAID, Some((1140, 12)), 1), "!the expression for the event cannot be used"),
        (event(PAID, None, -1), "!a suspension may last"),
    ];
    for (wake, wanted) in refused {
        let report = run(&suspending(1, &wake), plain()).await;
        assert!(output(&report).as_str().unwrap().starts_with(wanted), "{:?}", output(&report));
    }
}

#[tokio::test]
async fn a_revealed_secret_cannot_be_left_behind() {
    let value = SecretValue::new("ssssssssssssssss".into()).unwrap();
    let secret = Secret { value, rules: vec!["https://api.example.com".parse().unwrap()] };
    let opened = Opened::new(BTreeMap::from([("api-key".to_owned(), secret)]));
    let placeholders = Placeholders::of(CallbackKey::new([7; 32]), uuid::Uuid::nil());
    let holder = Arc::new(Holder::new(placeholders, Arc::new(opened), Reach::default()));
    let call = PluginCall { holder: Some(holder), ..plain() };
    let report = run(&suspending(40, &until(0)), call).await;
    assert!(output(&report).as_str().unwrap().starts_with("!the state holds a secret"));
}

#[tokio::test]
async fn the_newest_note_can_be_seen_and_has_a_most() {
    let live = Live::default();
    run(&suspending(1, &until(0)), PluginCall { live: live.clone(), ..plain() }).await;
    live.changed().await;
    assert_eq!((live.take_note().as_deref(), live.take_note()), (Some("half"), None));

    let body = "(call $heartbeat (i32.const 131072) (i32.const 4000)) (call $say (i32.const 46) (i32.const 0) (i32.const 0))";
    let wasm = step(
        IMPORTS,
        "",
        &format!("(memory.fill (i32.const 131072) (i32.const 120) (i32.const 4000)) {body}"),
    );
    let live = Live::default();
    run(&wasm, PluginCall { live: live.clone(), ..plain() }).await;
    assert_eq!(live.take_note().unwrap().len(), MAX_NOTE_BYTES);
}

#[tokio::test]
async fn a_guest_that_suspends_itself_when_asked_what_it_is_is_refused() {
    let wasm = testing::guests::of_world(
        "step",
        r#"(module
            (import "stateflow:plugin/progress@1.0.0" "suspend"
                (func $suspend (param i32 i32 i32 i64 i32 i32 i32 i32 i64 i32)))
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "describe") (result i32)
                (call $suspend (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 16))
                unreachable)
            (func (export "run")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (param i64) (param i32 i32 i32 i32)
                (result i32) unreachable))"#,
    );
    let (code, sentence) = refusal(&sandbox(), &wasm).await;
    assert_eq!(code, "PLUGIN_MANIFEST");
    assert!(sentence.contains("suspends itself"), "{sentence}");
}

#[tokio::test]
async fn a_guest_that_traps_after_a_refusal_is_not_suspended() {
    let body = format!(
        "(call $suspend (i32.const 0) (i32.const 0) {} (i32.const 512)) unreachable",
        until(-1)
    );
    let report = run(&step(IMPORTS, "", &body), plain()).await;
    assert_eq!(code(&report), Some(ErrorCode::GuestTrap));
}
