//! Changes with an `Idempotency-Key`: carried out once, answered as often as they are asked for.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, send};

fn definition(name: &str, message: &str) -> Value {
    json!({ "name": name, "steps": [{ "id": "a", "type": "log", "config": { "message": message } }] })
}

async fn keyed(server: &Server, path: &str, key: &str, body: &Value) -> reqwest::Response {
    let request = server.request(Method::POST, path).header("Idempotency-Key", key);
    request.json(body).send().await.unwrap()
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer() {
    let server = Server::start().await;
    let create = definition("w", "hi");
    let first = keyed(&server, "/api/workflows", "k", &create).await;
    assert_eq!(first.status(), 201);
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let first: Value = first.json().await.unwrap();
    let again = keyed(&server, "/api/workflows", "k", &create).await;
    assert_eq!(
        (again.status().as_u16(), &again.headers()["idempotency-replayed"]),
        (201, &"true".parse().unwrap())
    );
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    // Without the key, it is another request.
    server.post("/api/workflows", &create).await.is_problem(409, "CONFLICT");
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_is_an_answer_too_and_has_the_repeat_s_own_id() {
    let server = Server::start().await;
    let bad = json!({ "name": "w", "steps": [] });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let request = server.request(Method::POST, "/api/workflows").header("Idempotency-Key", "k");
        let answer = send(request.json(&bad)).await;
        answer.is_problem(422, "DEFINITION_INVALID");
        ids.push(answer.body["requestId"].clone());
        assert_eq!(answer.faults().len(), 1, "{answer:?}");
    }
    assert_ne!(ids[0], ids[1]);
    server.stop().await;
}

#[tokio::test]
async fn a_key_is_for_one_request() {
    let server = Server::start().await;
    assert_eq!(keyed(&server, "/api/workflows", "k", &definition("w", "hi")).await.status(), 201);
    let other = definition("w", "ho");
    let request = server.request(Method::POST, "/api/workflows").header("Idempotency-Key", "k");
    send(request.json(&other)).await.is_problem(422, "IDEMPOTENCY_KEY_REUSED");
    let request = server.request(Method::PUT, "/api/workflows/w").header("Idempotency-Key", "k");
    send(request.json(&other)).await.is_problem(422, "IDEMPOTENCY_KEY_REUSED");
    let long = "x".repeat(256);
    let request = server.request(Method::PUT, "/api/workflows/w").header("Idempotency-Key", long);
    send(request.json(&other)).await.is_problem(400, "REQUEST_INVALID");
    let large = json!({ "reason": "x".repeat(65 << 10) });
    let path = format!("/api/executions/{}/cancel", uuid::Uuid::now_v7());
    let request = server.request(Method::POST, &path).header("Idempotency-Key", "large");
    send(request.json(&large)).await.is_problem(413, "TOO_LARGE");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_carried_out() {
    let server = Server::start().await;
    let create = definition("w", "hi");
    let answers = join_all((0..8).map(|_| keyed(&server, "/api/workflows", "k", &create))).await;
    for answer in answers {
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        let waits = status == 409 && body["code"] == "IDEMPOTENCY_KEY_IN_USE";
        assert!(status == 201 || waits, "{status} {body}");
    }
    assert_eq!(server.number("select count(*) from stateflow.workflow_versions").await, 1);
    let again = keyed(&server, "/api/workflows", "k", &create).await;
    assert_eq!(again.status(), 201);
    server.stop().await;
}

#[tokio::test]
async fn what_only_says_something_about_us_is_tried_again() {
    let server = Server::start().await;
    let store = server.store.clone();
    let known = store.begin_request(store::DEFAULT_NAMESPACE, "k", b"print").await.unwrap();
    assert_eq!(known, store::request_keys::Known::New);
    store.forget_request(store::DEFAULT_NAMESPACE, "k").await.unwrap();
    let known = store.begin_request(store::DEFAULT_NAMESPACE, "k", b"other").await.unwrap();
    assert_eq!(known, store::request_keys::Known::New);
    server.stop().await;
}
