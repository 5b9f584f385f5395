//! A database that does not keep up: callers are told so, memory stays bounded, nothing is lost or doubled.

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::server::{STARTS_AT_ONCE as ADMITTED, Server, send};

/// More than are admitted at once.
const CALLERS: usize = 3 * ADMITTED;

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_room_is_told_to_come_back_and_who_got_in_is_served() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    // A start cannot end while nobody may write to the queue.
    let lock = server.database.lock("stateflow.queue").await;
    let mut callers = JoinSet::new();
    for n in 0..CALLERS {
        let body = json!({ "idempotencyKey": n.to_string() });
        let request = server.request(reqwest::Method::POST, "/api/workflows/w/execute").json(&body);
        callers.spawn(send(request));
    }
    // Those who are turned away answer at once; the others cannot before the lock is gone.
    let mut answers = Vec::new();
    while answers.len() < CALLERS - ADMITTED {
        answers.push(callers.join_next().await.unwrap().unwrap());
    }
    for answer in &answers {
        answer.is_problem(429, "OVERLOADED");
    }
    lock.release().await;
    let mut started = HashSet::new();
    while let Some(answer) = callers.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        assert!(started.insert(answer.body["id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(started.len(), ADMITTED);
    assert_eq!(server.get("/api/health").await.body["queueDepth"], json!(ADMITTED));
    // A caller who comes back with the same key starts what was turned away, and nothing twice.
    for n in 0..CALLERS {
        let again = server.begin("w", json!({ "idempotencyKey": n.to_string() })).await;
        started.insert(again);
    }
    assert_eq!(server.get("/api/health").await.body["queueDepth"], json!(CALLERS));
    server.stop().await;
}

/// Sends a batch and is gone before the answer; `sent` of its bytes arrive.
async fn abandoned_batch(server: &Server, body: &str, sent: usize) {
    let mut connection = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /api/workflows/w/execute/batch HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body.as_bytes()[..sent]).await.unwrap();
    connection.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_in_mid_batch_leaves_all_or_nothing_and_no_room_taken() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    let keyed = |n: usize| json!({ "idempotencyKey": n.to_string() });
    let batch = json!({ "executions": (0..1_000).map(keyed).collect::<Vec<_>>() });
    let body = batch.to_string();
    for sent in [0, 1, body.len() / 2, body.len() - 1] {
        abandoned_batch(&server, &body, sent).await;
    }
    // The whole batch arrives, and its caller leaves while the statement waits.
    let lock = server.database.lock("stateflow.queue").await;
    abandoned_batch(&server, &body, body.len()).await;
    lock.release().await;
    // Whoever asks again with the same keys gets each execution once, whatever became of the first time.
    let again = loop {
        let answer = server.post("/api/workflows/w/execute/batch", &batch).await;
        match answer.status {
            202 => break answer,
            // Those who left have not been noticed yet.
            _ => answer.is_problem(429, "OVERLOADED"),
        };
    };
    let ids: HashSet<_> =
        again.body["ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(ids.len(), 1_000);
    assert_eq!(server.get("/api/health").await.body["queueDepth"], 1_000);
    server.stop().await;
}
