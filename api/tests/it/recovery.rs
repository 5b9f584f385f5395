//! Pause, resume and retry-step, from outside.

use serde_json::{Value, json};

use crate::server::Server;
use crate::upstream::Upstream;

fn two_steps(upstream: &Upstream) -> Value {
    let call = json!({ "url": upstream.url, "method": "POST" });
    json!([
        { "id": "first", "type": "transform", "config": { "value": "${input.n}" }, "next": "call" },
        { "id": "call", "type": "http", "config": call, "output": "${steps.first.output}" },
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_execution_rests_until_it_is_resumed() {
    let mut server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    server
        .post(&format!("{path}/resume"), &json!({}))
        .await
        .is_problem(409, "EXECUTION_NOT_PAUSED");
    let reason = json!({ "reason": "maintenance" });
    assert_eq!(server.post(&format!("{path}/pause"), &reason).await.status, 202);
    server.add_worker();
    server.until(&path, "/status", "paused").await;
    let why = server.get(&format!("{path}/why")).await.body;
    assert_eq!(
        (&why["reason"]["type"], &why["reason"]["reason"]),
        (&json!("PAUSED"), &json!("maintenance"))
    );
    server.post(&format!("{path}/pause"), &json!({})).await.is_problem(409, "EXECUTION_PAUSED");
    assert_eq!(server.get("/api/executions?status=paused").await.body["items"][0]["id"], id);
    assert_eq!(server.post(&format!("{path}/resume"), &json!({})).await.status, 202);
    server.until(&path, "/status", "succeeded").await;
    server.post(&format!("{path}/pause"), &json!({})).await.is_problem(409, "EXECUTION_ENDED");
    server.post(&format!("{path}/resume"), &json!({})).await.is_problem(409, "EXECUTION_ENDED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_under_way_ends_before_its_execution_rests() {
    let (server, upstream) = (Server::working().await, Upstream::slow().await);
    let mut steps = two_steps(&upstream);
    steps[1]["next"] = json!("after");
    steps
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": "after", "type": "log", "config": { "message": "m" } }));
    server.publish("w", steps).await;
    let id = server.begin("w", json!({ "input": { "n": 1 } })).await;
    let path = format!("/api/executions/{id}");
    upstream.called().await;
    assert_eq!(server.post(&format!("{path}/pause"), &json!({})).await.status, 202);
    upstream.answer();
    server.until(&path, "/status", "paused").await;
    assert_eq!(upstream.keys().len(), 1);
    let timeline = server.get(&format!("{path}/timeline")).await.body;
    assert_eq!(timeline["items"][1]["status"], "succeeded");
    assert_eq!(server.post(&format!("{path}/resume"), &json!({})).await.status, 202);
    server.until(&path, "/status", "succeeded").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_execution_goes_on_at_its_step_with_the_outputs_that_it_has() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    server.publish("w", two_steps(&upstream)).await;
    let ended = server.run("w", json!({ "n": 7 })).await;
    assert_eq!(ended["status"], "failed");
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    upstream.mend();
    let nowhere = server.post(&format!("{path}/retry-step"), &json!({ "step": "none" })).await;
    nowhere.is_problem(404, "NOT_FOUND");
    assert_eq!(server.post(&format!("{path}/retry-step"), &json!({})).await.status, 202);
    let seen = server.until(&path, "/status", "succeeded").await;
    assert_eq!(seen["output"], 7);
    let timeline = server.get(&format!("{path}/timeline")).await.body;
    let items = timeline["items"].as_array().unwrap().iter();
    let steps: Vec<_> =
        items.map(|it| (it["step"].as_str().unwrap(), it["attempt"].as_u64().unwrap())).collect();
    assert_eq!(steps, [("first", 1), ("call", 1), ("call", 2)]);
    server
        .post(&format!("{path}/retry-step"), &json!({}))
        .await
        .is_problem(409, "EXECUTION_NOT_FAILED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_rests_instead_of_failing_is_mended_and_resumed() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let mut steps = two_steps(&upstream);
    steps[1]["retryPolicy"] = json!({ "maxAttempts": 2, "delayMs": 1, "onExhausted": "pause" });
    server.publish("w", steps).await;
    let id = server.begin("w", json!({ "input": { "n": 7 } })).await;
    let path = format!("/api/executions/{id}");
    server.until(&path, "/status", "paused").await;
    let why = server.get(&format!("{path}/why")).await.body;
    assert!(why["message"].as_str().unwrap().contains("step `call` failed"), "{why}");
    upstream.mend();
    assert_eq!(server.post(&format!("{path}/resume"), &json!({})).await.status, 202);
    assert_eq!(server.until(&path, "/status", "succeeded").await["output"], 7);
    server.stop().await;
}

/// The executions' statuses and attempts by step.
fn history(timeline: &Value) -> Vec<(&str, &str)> {
    let items = timeline["items"].as_array().unwrap().iter();
    items.map(|it| (it["step"].as_str().unwrap(), it["status"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_begins_in_the_middle_with_what_the_other_had_found_out() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let mut steps = two_steps(&upstream);
    steps[1]["output"] = json!("${[steps.first.output, input.n, input.to]}");
    server.publish("w", steps.clone()).await;
    let ended = server.run("w", json!({ "n": 7, "to": "Ada", "cc": 1 })).await;
    assert_eq!(ended["status"], "failed");
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    upstream.mend();

    let change = json!({ "fromStep": "call", "inputPatch": { "n": 8, "cc": null } });
    let forked = server.post(&format!("{path}/fork"), &change).await;
    assert_eq!((forked.status, &forked.body["forkedFrom"]), (202, &ended["id"]));
    let fork = format!("/api/executions/{}", forked.body["id"].as_str().unwrap());
    let seen = server.until(&fork, "/status", "succeeded").await;
    assert_eq!(seen["output"], json!([7, 8, "Ada"]));
    assert_eq!(
        (&seen["input"], &seen["forkedFrom"]),
        (&json!({ "n": 8, "to": "Ada" }), &ended["id"])
    );
    let timeline = server.get(&format!("{fork}/timeline")).await.body;
    assert_eq!(history(&timeline), [("first", "succeeded"), ("call", "succeeded")]);
    // The other is as it was.
    assert_eq!(server.get(&path).await.body["status"], "failed");
    let timeline = server.get(&format!("{path}/timeline")).await.body;
    assert_eq!(history(&timeline), [("first", "succeeded"), ("call", "failed")]);

    // Another version, from its first step: nothing is taken over.
    steps[0]["config"] = json!({ "value": "${input.n * 10}" });
    assert_eq!(
        server.put("/api/workflows/w", &json!({ "name": "w", "steps": steps })).await.status,
        200
    );
    let request = json!({ "fromStep": "first", "version": 2 });
    let second = server.post(&format!("{path}/fork"), &request).await;
    let second = format!("/api/executions/{}", second.body["id"].as_str().unwrap());
    let seen = server.until(&second, "/status", "succeeded").await;
    assert_eq!((&seen["output"], &seen["version"]), (&json!([70, 7, "Ada"]), &json!(2)));
    server.stop().await;
}

#[tokio::test]
async fn a_fork_that_cannot_be_is_refused() {
    let server = Server::start().await;
    let definition = json!({ "name": "w", "inputSchema": { "required": ["n"] },
        "steps": [{ "id": "a", "type": "log", "config": { "message": "hi" } }] });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
    let id = server.begin("w", json!({ "input": { "n": 1 } })).await;
    let path = format!("/api/executions/{id}/fork");
    server.post(&path, &json!({ "from": "a" })).await.is_problem(400, "REQUEST_INVALID");
    server.post(&path, &json!({ "fromStep": "b" })).await.is_problem(404, "NOT_FOUND");
    let version = json!({ "fromStep": "a", "version": 2 });
    server.post(&path, &version).await.is_problem(404, "NOT_FOUND");
    let without = json!({ "fromStep": "a", "inputPatch": { "n": null } });
    let refused = server.post(&path, &without).await;
    assert_eq!(refused.is_problem(422, "INPUT_INVALID").faults(), [("MISSING_FIELD", "/input")]);
    let nobody = "/api/executions/00000000-0000-7000-8000-000000000000/fork";
    server.post(nobody, &json!({ "fromStep": "a" })).await.is_problem(404, "NOT_FOUND");
    assert_eq!(server.get("/api/health").await.body["queueDepth"], 1);
    server.stop().await;
}
