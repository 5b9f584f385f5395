//! Trying again: by policy, by request, and what comes of it when somebody cancels in between.

use serde_json::{Value, json};

use crate::server::Server;
use crate::upstream::Upstream;

const HOUR_MS: u64 = 3_600_000;

/// One step that calls the service.
fn calling(upstream: &Upstream, attempts: u32, delay_ms: u64) -> Value {
    json!([{ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" },
        "retryPolicy": { "maxAttempts": attempts, "delayMs": delay_ms, "jitter": "none" } }])
}

/// How each attempt ended: its number, its status.
fn attempts(timeline: &Value) -> Vec<(u64, &str)> {
    let items = timeline["items"].as_array().unwrap().iter();
    items.map(|it| (it["attempt"].as_u64().unwrap(), it["status"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_followed_to_its_end_and_all_attempts_have_one_key() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    server.publish("w", calling(&upstream, 3, 1)).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("HTTP_STATUS"))
    );
    let id = ended["id"].as_str().unwrap();
    assert_eq!(upstream.keys(), vec![format!("{id}.call"); 3]);
    let timeline = server.get(&format!("/api/executions/{id}/timeline")).await.body;
    assert_eq!(attempts(&timeline), [(1, "failed"), (2, "failed"), (3, "failed")]);
    let seen = server.get(&format!("/api/executions/{id}")).await.body;
    assert_eq!(seen["steps"][0]["attempts"], 3);
    assert_eq!(seen["steps"][0]["error"]["code"], "HTTP_STATUS");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_the_cause_is_gone_succeeds_with_the_same_input() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let mut definition = json!({ "name": "w", "steps": calling(&upstream, 1, 1) });
    definition["output"] = json!({ "said": "${steps.call.output.body}", "to": "${input.name}" });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
    let ended = server.run("w", json!({ "name": "Ada" })).await;
    assert_eq!(ended["status"], "failed");
    upstream.mend();
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    let accepted = server.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!((accepted.status, &accepted.body["id"]), (202, &ended["id"]));
    let seen = server.until(&path, "/status", "succeeded").await;
    assert_eq!(seen["output"], json!({ "said": "done", "to": "Ada" }));
    assert_eq!((&seen["error"], &seen["steps"][0]["error"]), (&Value::Null, &Value::Null));
    let timeline = server.get(&format!("{path}/timeline")).await.body;
    assert_eq!(attempts(&timeline), [(1, "failed"), (2, "succeeded")]);
    let again = server.post(&format!("{path}/retry"), &json!({})).await;
    again.is_problem(409, "EXECUTION_NOT_FAILED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_the_next_attempt_can_be_cancelled_and_the_whole_retried() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    server.publish("w", calling(&upstream, 2, HOUR_MS)).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    server.until(&path, "/status", "waiting").await;
    let why = server.get(&format!("{path}/why")).await.body;
    assert_eq!(why["reason"]["type"], "BACKOFF");
    server.post(&format!("{path}/retry"), &json!({})).await.is_problem(409, "EXECUTION_NOT_FAILED");
    assert_eq!(server.post(&format!("{path}/cancel"), &json!({})).await.status, 202);
    server.until(&path, "/status", "cancelled").await;
    assert_eq!(server.get(&format!("{path}/why")).await.body["reason"], Value::Null);
    upstream.mend();
    assert_eq!(server.post(&format!("{path}/retry"), &json!({})).await.status, 202);
    server.until(&path, "/status", "succeeded").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_before_any_worker_came_never_runs() {
    let (mut server, upstream) = (Server::start().await, Upstream::broken().await);
    server.publish("w", calling(&upstream, 1, 1)).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    assert_eq!(server.post(&format!("{path}/cancel"), &json!({})).await.status, 202);
    server.add_worker();
    let seen = server.until(&path, "/status", "cancelled").await;
    assert_eq!(seen["error"]["code"], "CANCELLED");
    assert_eq!(upstream.keys(), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_path_knows_the_error_and_saves_the_execution() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let mut steps = calling(&upstream, 2, 1);
    steps[0]["onError"] = json!("note");
    steps[0]["next"] = json!("never");
    let note = json!({ "id": "note", "type": "log", "config": { "message": "${error.code}" } });
    let never = json!({ "id": "never", "type": "log", "config": { "message": "not reached" } });
    steps.as_array_mut().unwrap().extend([note, never]);
    server.publish("w", steps).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["status"], "succeeded");
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    let seen = server.get(&path).await.body;
    let statuses: Vec<_> =
        seen["steps"].as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["failed", "succeeded", "pending"]);
    let logs = server.get(&format!("{path}/logs")).await.body;
    assert_eq!(logs["items"][0]["message"], "HTTP_STATUS");
    server.stop().await;
}
