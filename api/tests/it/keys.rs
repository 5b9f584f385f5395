//! Idempotency keys: whoever repeats a start, however often and however late, gets the same execution.

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::server::{STARTS_AT_ONCE, Server, send};

const PATH: &str = "/api/workflows/w/execute";

async fn publish(server: &Server, name: &str) {
    let steps = json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }]);
    let definition = json!({ "name": name, "steps": steps, "output": "${input}" });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_the_same_moment_share_one_execution() {
    let server = Server::start().await;
    publish(&server, "w").await;
    let body = json!({ "idempotencyKey": "k" });
    let answers = join_all((0..STARTS_AT_ONCE).map(|_| server.post(PATH, &body))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body["id"]), (202, &answers[0].body["id"]));
    }
    assert_eq!(server.get("/api/health").await.body["queueDepth"], 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_repeat_that_waits_gets_the_first_result() {
    let server = Server::working().await;
    publish(&server, "w").await;
    let start = async |input: u32| {
        let body = json!({ "input": input, "idempotencyKey": "k" });
        server.post(&format!("{PATH}?wait=60000"), &body).await
    };
    let first = start(1).await;
    assert_eq!((first.status, &first.body["output"]), (200, &json!(1)), "{first:?}");
    // The key is what counts: the input of a repeat is checked and then not used.
    let again = start(2).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let told = server.post(PATH, &json!({ "idempotencyKey": "k" })).await;
    assert_eq!((told.status, &told.body["status"]), (202, &json!("succeeded")));
    server.stop().await;
}

#[tokio::test]
async fn a_key_belongs_to_its_workflow_and_has_a_length() {
    let server = Server::start().await;
    publish(&server, "w").await;
    publish(&server, "v").await;
    let body = json!({ "idempotencyKey": "k" });
    let (one, other) = (server.begin("w", body.clone()).await, server.begin("v", body).await);
    assert_ne!(one, other);
    for (length, status) in [(1, 202), (255, 202), (256, 400)] {
        let key = "x".repeat(length);
        let request = server.request(Method::POST, PATH).header("Idempotency-Key", key);
        assert_eq!(send(request).await.status, status, "{length}");
    }
    server.stop().await;
}
