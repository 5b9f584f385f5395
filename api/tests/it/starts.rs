//! Starting executions: what is checked, and what a repeated start gives.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, send};

const MEBIBYTE: usize = 1 << 20;

async fn server() -> Server {
    let server = Server::start().await;
    let definition = json!({
        "name": "greet",
        "inputSchema": {
            "type": "object", "required": ["name"],
            "properties": { "name": { "type": "string" }, "age": { "type": "integer" } },
        },
        "steps": [{ "id": "a", "type": "log", "config": { "message": "hi" } }],
    });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
    server
}

async fn is_empty(server: &Server) {
    assert_eq!(server.get("/api/executions").await.body["items"], json!([]));
    assert_eq!(server.get("/api/health").await.body["queueDepth"], 0);
}

#[tokio::test]
async fn an_input_is_held_against_its_schema() {
    let server = server().await;
    let path = "/api/workflows/greet/execute";
    let missing = server.post(path, &json!({ "input": {} })).await;
    assert_eq!(missing.is_problem(422, "INPUT_INVALID").faults()[0].1, "/input");
    let input = json!({ "input": { "name": 1, "age": "old" } });
    let wrong = server.post(path, &input).await;
    let mut places: Vec<_> =
        wrong.is_problem(422, "INPUT_INVALID").faults().into_iter().map(|it| it.1).collect();
    places.sort_unstable();
    assert_eq!(places, ["/input/age", "/input/name"]);
    is_empty(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn what_the_call_does_not_take_is_refused() {
    let server = server().await;
    let good = json!({ "name": "Ada" });
    let bodies = [
        json!({ "input": good, "colour": "red" }),
        json!({ "input": good, "version": "two" }),
        json!({ "input": good, "delayMs": -1 }),
        json!({ "input": good, "delayMs": 400_000_000_000_u64 }),
        json!({ "input": good, "idempotencyKey": "" }),
        json!({ "input": good, "idempotencyKey": "x".repeat(256) }),
        json!({ "input": good, "labels": { "a": "x".repeat(201) } }),
        json!({ "input": good, "labels": { "a": 1 } }),
    ];
    for body in bodies {
        let answer = server.post("/api/workflows/greet/execute", &body).await;
        answer.is_problem(400, "REQUEST_INVALID");
    }
    for wait in ["soon", "-1", "60001"] {
        let path = format!("/api/workflows/greet/execute?wait={wait}");
        server.post(&path, &json!({ "input": good })).await.is_problem(400, "REQUEST_INVALID");
    }
    let absent = json!({ "input": good, "version": 7 });
    server.post("/api/workflows/greet/execute", &absent).await.is_problem(404, "NOT_FOUND");
    is_empty(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn an_input_may_have_a_mebibyte_and_no_more() {
    let server = server().await;
    let of_size = |bytes: usize| {
        let without = json!({ "name": "" }).to_string().len();
        json!({ "input": { "name": "x".repeat(bytes - without) } })
    };
    let path = "/api/workflows/greet/execute";
    server.post(path, &of_size(MEBIBYTE + 1)).await.is_problem(413, "TOO_LARGE");
    server.post(path, &of_size(2 * MEBIBYTE)).await.is_problem(413, "TOO_LARGE");
    is_empty(&server).await;
    assert_eq!(server.post(path, &of_size(MEBIBYTE)).await.status, 202);
    server.stop().await;
}

#[tokio::test]
async fn the_same_key_gives_the_same_execution() {
    let server = server().await;
    let body = json!({ "input": { "name": "Ada" }, "idempotencyKey": "k" });
    let first = server.begin("greet", body.clone()).await;
    assert_eq!(server.begin("greet", body).await, first);
    let path = "/api/workflows/greet/execute";
    let by_header = server.request(Method::POST, path).header("Idempotency-Key", "k");
    let answer = send(by_header.json(&json!({ "input": { "name": "Bob" } }))).await;
    assert_eq!((answer.status, answer.body["id"].as_str()), (202, Some(first.as_str())));
    let other = json!({ "input": { "name": "Ada" }, "idempotencyKey": "l" });
    assert_ne!(server.begin("greet", other).await, first);
    server.stop().await;
}

#[tokio::test]
async fn a_start_takes_the_newest_version_at_once_and_a_pinned_one_for_ever() {
    let server = server().await;
    let version =
        async |id: &str| server.get(&format!("/api/executions/{id}")).await.body["version"].clone();
    let input = json!({ "name": "Ada" });
    let one = server.begin("greet", json!({ "input": input })).await;
    // Published behind the server's back: what it remembers is no longer the newest.
    let steps = json!([{ "id": "b", "type": "log", "config": { "message": "ho" } }]);
    publish_elsewhere(&server, &json!({ "name": "greet", "steps": steps })).await;
    let two = server.begin("greet", json!({ "input": input })).await;
    let pinned = server.begin("greet", json!({ "input": input, "version": 1 })).await;
    assert_eq!(version(&one).await, 1);
    assert_eq!(version(&two).await, 2);
    assert_eq!(version(&pinned).await, 1);
    server.stop().await;
}

async fn publish_elsewhere(server: &Server, definition: &Value) {
    let workflow = server.store.workflow(store::DEFAULT_NAMESPACE, "greet").await.unwrap();
    let new = store::workflows::NewVersion {
        events: Vec::new(),
        namespace_id: store::DEFAULT_NAMESPACE,
        name: "greet".to_owned(),
        definition: definition.clone(),
        plugin_lock: std::collections::BTreeMap::new(),
    };
    server.store.publish_version(workflow.id, &new, None).await.unwrap();
}
