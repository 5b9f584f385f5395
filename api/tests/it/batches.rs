//! Batches: all or none, up to 10,000.

use serde_json::{Value, json};

use crate::server::Server;

const PATH: &str = "/api/workflows/count/execute/batch";

async fn server() -> Server {
    let server = Server::start().await;
    let definition = json!({
        "name": "count",
        "inputSchema": { "type": "object", "required": ["n"] },
        "steps": [{ "id": "a", "type": "log", "config": { "message": "hi" } }],
    });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
    server
}

fn batch(inputs: impl Iterator<Item = Value>) -> Value {
    json!({ "executions": inputs.map(|input| json!({ "input": input })).collect::<Vec<_>>() })
}

async fn depth(server: &Server) -> Value {
    server.get("/api/health").await.body["queueDepth"].clone()
}

#[tokio::test]
async fn ten_thousand_are_a_batch_and_one_more_is_not() {
    let server = server().await;
    let of = |count: u32| batch((0..count).map(|n| json!({ "n": n })));
    server.post(PATH, &of(0)).await.is_problem(400, "REQUEST_INVALID").says("1 to 10000");
    server.post(PATH, &of(10_001)).await.is_problem(400, "REQUEST_INVALID").says("10001");
    assert_eq!(depth(&server).await, 0);
    let answer = server.post(PATH, &of(10_000)).await;
    assert_eq!((answer.status, answer.body["ids"].as_array().unwrap().len()), (202, 10_000));
    assert_eq!(depth(&server).await, 10_000);
    server.stop().await;
}

#[tokio::test]
async fn every_bad_input_is_named_by_its_index_and_none_starts() {
    let server = server().await;
    let inputs = [json!({ "n": 1 }), json!({}), json!({ "n": 2 }), json!(4)];
    let answer = server.post(PATH, &batch(inputs.into_iter())).await;
    let mut places: Vec<_> = answer
        .is_problem(422, "BATCH_INVALID")
        .says("2 of 4")
        .faults()
        .iter()
        .map(|it| it.1)
        .collect();
    places.sort_unstable();
    assert_eq!(places, ["/executions/1/input", "/executions/3/input"]);
    let mut long_key = batch([json!({ "n": 1 })].into_iter());
    long_key["executions"][0]["idempotencyKey"] = json!("x".repeat(256));
    let answer = server.post(PATH, &long_key).await;
    assert_eq!(answer.is_problem(422, "BATCH_INVALID").faults()[0].1, "/executions/0");
    assert_eq!(depth(&server).await, 0);
    server.stop().await;
}

#[tokio::test]
async fn a_key_within_a_batch_starts_one_execution() {
    let server = server().await;
    let one = json!({ "input": { "n": 1 }, "idempotencyKey": "k" });
    let answer = server.post(PATH, &json!({ "executions": [one, one] })).await;
    assert_eq!(answer.body["ids"][0], answer.body["ids"][1]);
    assert_eq!(depth(&server).await, 1);
    server.stop().await;
}
