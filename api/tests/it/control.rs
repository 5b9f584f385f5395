//! Control flow from outside: what it gives, what its steps leave in the history, and why it is not moving.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_of_decisions_waits_and_ends_as_it_says() {
    let server = Server::working().await;
    let cases = json!({ "cases": [{ "when": "input.n > 1", "next": "shape" }] });
    let steps = json!([
        { "id": "route", "type": "switch", "config": cases, "onError": "refuse" },
        { "id": "shape", "type": "transform", "config": { "value": { "n": "${input.n + 1}" } }, "next": "pause" },
        { "id": "pause", "type": "wait", "config": { "durationMs": 20 }, "next": "end" },
        { "id": "end", "type": "succeed", "config": { "output": "${steps.shape.output.n}" } },
        { "id": "refuse", "type": "fail", "config": { "code": "TOO_SMALL", "message": "${error.message}" } },
    ]);
    server.publish("w", steps).await;

    let good = server.run("w", json!({ "n": 2 })).await;
    assert_eq!((&good["status"], &good["output"]), (&json!("succeeded"), &json!(3)));
    let id = good["id"].as_str().unwrap();
    let execution = server.get(&format!("/api/executions/{id}")).await.body;
    let status = |step: &Value| (step["id"].clone(), step["status"].clone());
    let statuses: Vec<_> = execution["steps"].as_array().unwrap().iter().map(status).collect();
    let succeeded = |id: &str| (json!(id), json!("succeeded"));
    assert!(
        ["route", "shape", "pause", "end"].map(succeeded).iter().all(|it| statuses.contains(it))
    );

    let bad = server.run("w", json!({ "n": 1 })).await;
    assert_eq!((&bad["status"], &bad["error"]["code"]), (&json!("failed"), &json!("STEP_FAILED")));
    assert_eq!(bad["error"]["details"]["code"], "TOO_SMALL");
    assert!(bad["error"]["message"].as_str().unwrap().contains("no case"), "{bad}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_holds_no_worker_says_until_when_and_ends_when_cancelled() {
    let server = Server::working().await;
    let config = json!({ "until": "2999-01-01T00:00:00Z" });
    server.publish("w", json!([{ "id": "long", "type": "wait", "config": config }])).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    server.until(&path, "/status", "waiting").await;
    let why = server.get(&format!("{path}/why")).await.body;
    let reason = json!({ "type": "WAIT_TIMER", "step": "long", "until": "2999-01-01T00:00:00Z" });
    assert_eq!(why["reason"], reason);
    let timeline = server.get(&format!("{path}/timeline")).await.body;
    let line = &timeline["items"][0];
    assert_eq!((&line["step"], &line["until"]), (&json!("long"), &reason["until"]));
    assert!(line["startedAt"].as_str() < line["until"].as_str(), "{line}");
    assert_eq!(server.post(&format!("{path}/cancel"), &json!({})).await.status, 202);
    server.until(&path, "/status", "cancelled").await;
    server.stop().await;
}
