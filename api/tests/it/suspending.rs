//! Steps that suspend themselves, and what is seen of them while they work: from an upload to what the API says.

use serde_json::{Value, json};
use testing::guests::step;

use crate::server::Server;

const IMPORTS: &str = r#"
    (import "stateflow:plugin/progress@1.0.0" "heartbeat" (func $heartbeat (param i32 i32)))
    (import "stateflow:plugin/progress@1.0.0" "resumed" (func $resumed (param i32)))
    (import "stateflow:plugin/progress@1.0.0" "suspend"
        (func $suspend (param i32 i32 i32 i64 i32 i32 i32 i32 i64 i32)))
    (import "stateflow:plugin/log@1.0.0" "log" (func $log (param i32 i32 i32 i32 i32)))"#;

const DATA: &str = r#"(data (i32.const 1024) "half of it") (data (i32.const 1040) "paid")
    (data (i32.const 1060) "event.data.order == \"A7\"") (data (i32.const 1100) "page 2") (data (i32.const 1120) "hello")"#;

/// The flattened `wake` that a guest waits for: no time at all, or the event for order A7.
const AT_ONCE: &str = "(i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0)";
const PAID: &str = "(i32.const 2) (i64.const 1040) (i32.const 4) (i32.const 1) (i32.const 1060) (i32.const 24) (i64.const 3600000)";
/// The same, and no patience.
const PAID_NOW: &str = "(i32.const 2) (i64.const 1040) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 1)";

fn manifest(name: &str) -> String {
    json!({ "name": format!("team/{name}"), "version": "1.0.0" }).to_string()
}

/// Leaves `page 2`, and answers the event or what it has left when it goes on.
fn suspending(wake: &str) -> Vec<u8> {
    let body = format!(
        "(call $resumed (i32.const 512))
         (if (i32.load8_u (i32.const 512)) (then
             (if (i32.load8_u (i32.const 524)) (then
                 (return (call $answer (i32.load (i32.const 528)) (i32.load (i32.const 532))))))
             (return (call $say (i32.const 46) (i32.load (i32.const 516)) (i32.load (i32.const 520))))))
         (call $suspend (i32.const 1100) (i32.const 6) {wake} (i32.const 512))
         (call $say (i32.const 33) (i32.load (i32.const 516)) (i32.load (i32.const 520)))"
    );
    step(&manifest("rest"), IMPORTS, DATA, &body)
}

/// A server with a workflow of one step, which is this plugin.
async fn serving(name: &str, plugin: Vec<u8>) -> Server {
    let server = Server::working().await;
    let uploaded = server.upload("", plugin).await;
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let step = json!({ "id": "s", "type": format!("team/{name}@1.0.0"), "timeoutMs": 600_000,
        "limits": { "fuel": 50_000_000_000_u64 } });
    server.publish("w", json!([step])).await;
    server
}

async fn timeline(server: &Server, id: &Value) -> Vec<(i64, String)> {
    let path = format!("/api/executions/{}/timeline", id.as_str().unwrap());
    let timeline = server.get(&path).await.body;
    let items = timeline["items"].as_array().unwrap().iter();
    items
        .map(|it| (it["attempt"].as_i64().unwrap(), it["status"].as_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_goes_on_at_an_instant_with_what_it_has_left() {
    let server = serving("rest", suspending(AT_ONCE)).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!((&ended["status"], &ended["output"]), (&json!("succeeded"), &json!(".page 2")));
    let attempts = [(1, "suspended".to_owned()), (2, "succeeded".to_owned())];
    assert_eq!(timeline(&server, &ended["id"]).await, attempts);
    let calls = r#"stateflow_plugin_host_calls_total{import="progress",plugin="team/rest"} 3"#;
    let pool = r#"stateflow_plugin_pool{of="instances"} 0"#;
    server.until_text("/api/metrics/prometheus", &[calls, pool]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_goes_on_with_the_event_that_it_waited_for() {
    let server = serving("rest", suspending(PAID)).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    server.until(&path, "/status", "waiting").await;
    let why = server.get(&format!("{path}/why")).await.body;
    assert_eq!(
        (&why["reason"]["type"], &why["reason"]["event"]),
        (&json!("WAIT_EVENT"), &json!("paid"))
    );
    for order in ["B8", "A7"] {
        let event = json!({ "event": "paid", "data": { "order": order } });
        assert_eq!(server.post("/api/events", &event).await.status, 202);
    }
    let ended = server.until_ended(&path).await;
    assert_eq!(ended["output"]["data"], json!({ "order": "A7" }), "{ended}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_come_in_time_is_none() {
    let server = serving("rest", suspending(PAID_NOW)).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["output"], ".page 2", "{ended}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_step_can_be_cancelled() {
    let server = serving("rest", suspending(PAID)).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    server.until(&path, "/status", "waiting").await;
    assert_eq!(server.post(&format!("{path}/cancel"), &json!({})).await.status, 202);
    assert_eq!(server.until_ended(&path).await["status"], "cancelled");
    assert_eq!(server.number("select count(*) from stateflow.subscriptions").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_without_progress_keeps_steps_from_suspending_themselves() {
    let server = serving("rest", suspending(AT_ONCE)).await;
    let policy = json!({ "by": "ada", "policy": { "plugins": { "capabilities": ["log"] } } });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    let ended = server.run("w", json!({})).await;
    let output = ended["output"].as_str().unwrap_or_default();
    assert!(output.starts_with("!a policy does not let plugins suspend"), "{ended}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_and_the_log_are_seen_while_the_attempt_is_under_way() {
    let body =
        "(call $log (i32.const 2) (i32.const 1120) (i32.const 5) (i32.const 0) (i32.const 0))
        (call $heartbeat (i32.const 1024) (i32.const 10))
        (loop (br 0)) unreachable";
    let server = serving("spin", step(&manifest("spin"), IMPORTS, DATA, body)).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    server.until(&format!("{path}/timeline"), "/items/0/note", "half of it").await;
    server.until(&format!("{path}/logs"), "/items/0/message", "hello").await;
    let why = server.get(&format!("{path}/why")).await.body;
    assert_eq!(why["reason"]["note"], "half of it", "{why}");
    server.post(&format!("{path}/cancel"), &json!({})).await;
    server.until_ended(&path).await;
    // The log of an attempt that was cut off is in the history.
    let log = server.get(&format!("{path}/logs")).await.body;
    assert_eq!(log["items"][0]["message"], "hello", "{log}");
    assert_eq!(server.number("select count(*) from stateflow.live_logs").await, 0);
    server.stop().await;
}
