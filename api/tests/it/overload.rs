//! A database that does not keep up: callers are told so, memory stays bounded, nothing is lost or doubled.

use std::collections::HashSet;

use serde_json::json;
use tokio::task::JoinSet;

use crate::server::{STARTS_AT_ONCE, Server, send};

const ADMITTED: usize = STARTS_AT_ONCE as usize;
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
