//! Compensation and `onFailure`, from outside.

use serde_json::{Value, json};

use crate::server::Server;

fn transform(id: &str, value: &str) -> Value {
    json!({ "id": id, "type": "transform", "config": { "value": value } })
}

fn done(id: &str, next: Option<&str>) -> Value {
    let mut step = transform(id, &format!("did {id}"));
    let undo = transform(
        &format!("un{id}"),
        &format!("undid ${{steps.{id}.output}} after ${{error.step}}"),
    );
    step["compensate"] = json!({ "steps": [undo] });
    if let Some(next) = next {
        step["next"] = json!(next);
    }
    step
}

fn fail() -> Value {
    json!({ "id": "fail", "type": "fail", "config": { "message": "no" } })
}

fn path(ended: &Value) -> String {
    format!("/api/executions/{}", ended["id"].as_str().unwrap())
}

/// The blocks and outputs of what an execution has begun, in order.
async fn children(server: &Server, ended: &Value) -> Vec<(String, Value)> {
    let page = server.get(&format!("{}/children", path(ended))).await.body;
    let mut seen = Vec::new();
    for child in page["items"].as_array().unwrap() {
        let child = server.get(&path(child)).await.body;
        seen.push((child["block"].as_str().unwrap().to_owned(), child["output"].clone()));
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_saga_is_undone_in_reverse_and_then_told_of() {
    let server = Server::working().await;
    let definition = json!({ "name": "w", "steps": [done("a", Some("b")), done("b", Some("fail")), fail()],
        "onFailure": { "steps": [transform("tell", "${error.code} ${steps.a.output}")] } });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
    let ended = server.run("w", json!({})).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("STEP_FAILED")),
        "{ended}"
    );
    let wanted = [
        ("b:compensate", "undid did b after fail"),
        ("a:compensate", "undid did a after fail"),
        (":onFailure", "STEP_FAILED did a"),
    ];
    let wanted = wanted.map(|(block, output)| (block.to_owned(), json!(output)));
    assert_eq!(children(&server, &ended).await, wanted);
    let again = server.post(&format!("{}/retry-step", path(&ended)), &json!({})).await;
    again.is_problem(409, "EXECUTION_UNDONE");
    assert_eq!(server.post(&format!("{}/retry", path(&ended)), &json!({})).await.status, 202);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_branches_have_done_is_undone_when_another_fails() {
    let server = Server::working().await;
    let branches = json!({ "good": { "steps": [done("a", None)] },
        "bad": { "steps": [{ "id": "later", "type": "wait", "config": { "durationMs": 300 }, "next": "fail" }, fail()] } });
    server
        .publish(
            "w",
            json!([{ "id": "p", "type": "parallel", "config": { "branches": branches } }]),
        )
        .await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["error"]["code"], "CHILD_FAILED", "{ended}");
    let page = server.get(&format!("{}/children", path(&ended))).await.body;
    let good = page["items"].as_array().unwrap().iter().find(|it| it["block"] == "p.good").unwrap();
    let good = server.until(&path(good), "/status", "cancelled").await;
    let undone = children(&server, &good).await;
    assert_eq!(undone[0].0, "a:compensate");
    assert!(undone[0].1.as_str().unwrap().starts_with("undid did a"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_called_workflow_has_done_is_undone_with_its_caller() {
    let server = Server::working().await;
    server.publish("callee", json!([done("a", None)])).await;
    server.publish("w", json!([
        { "id": "call", "type": "workflow", "config": { "workflow": "callee" }, "next": "fail" }, fail(),
    ])).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["status"], "failed", "{ended}");
    let page = server.get(&format!("{}/children", path(&ended))).await.body;
    let callee = server.until(&path(&page["items"][0]), "/status", "cancelled").await;
    assert_eq!(children(&server, &callee).await[0].0, "a:compensate");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_is_on_record() {
    let server = Server::working().await;
    let mut step = transform("a", "1");
    step["compensate"] =
        json!({ "steps": [{ "id": "un", "type": "fail", "config": { "message": "stuck" } }] });
    step["next"] = json!("fail");
    server.publish("w", json!([step, fail()])).await;
    let ended = server.run("w", json!({})).await;
    let left = &ended["error"]["details"]["notUndone"][0];
    assert_eq!(
        (&left["step"], &left["failure"]["message"]),
        (&json!("a"), &json!("stuck")),
        "{ended}"
    );
    server.stop().await;
}
