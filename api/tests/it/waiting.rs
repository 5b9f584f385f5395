//! Executions that do not move, and why; finding executions.

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn without_a_worker_it_says_so_and_cancel_is_taken_in() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    let id = server.begin("w", json!({})).await;
    let why = server.get(&format!("/api/executions/{id}/why")).await.body;
    assert_eq!(
        (&why["reason"]["type"], &why["reason"]["workersAlive"]),
        (&json!("NO_WORKER"), &json!(false))
    );
    let later = server.begin("w", json!({ "delayMs": 3_600_000 })).await;
    let why = server.get(&format!("/api/executions/{later}/why")).await.body;
    assert_eq!(why["reason"]["type"], "BACKOFF");
    let waited = server.post("/api/workflows/w/execute?wait=1", &json!({})).await;
    assert_eq!((waited.status, &waited.body["status"]), (202, &json!("pending")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_the_next_attempt_says_until_when() {
    let server = Server::working().await;
    let retry = json!({ "maxAttempts": 2, "delayMs": 3_600_000, "jitter": "none" });
    let step = json!({ "id": "a", "type": "http", "config": { "url": "http://127.0.0.1:1/" }, "retryPolicy": retry });
    server.publish("w", json!([step])).await;
    let id = server.begin("w", json!({})).await;
    server.until(&format!("/api/executions/{id}"), "/status", "waiting").await;
    let why = server.get(&format!("/api/executions/{id}/why")).await.body;
    assert_eq!(why["reason"]["type"], "BACKOFF");
    assert!(why["reason"]["until"].is_string());
    server.stop().await;
}

#[tokio::test]
async fn the_list_is_filtered_and_paged_without_gaps() {
    let server = Server::start().await;
    let steps = json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }]);
    server.publish("one", steps.clone()).await;
    server.publish("two", steps).await;
    let mut started = Vec::new();
    for n in 0..25 {
        let workflow = if n % 5 == 0 { "two" } else { "one" };
        let body = json!({ "labels": { "parity": if n % 2 == 0 { "even" } else { "odd" } } });
        started.push(server.begin(workflow, body).await);
    }
    started.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/executions?limit=10{cursor}")).await.body;
        let items = page["items"].as_array().unwrap();
        seen.extend(items.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, started, "newest first, each once");
    for (query, count) in [
        ("workflow=two", 5),
        ("label=parity:odd", 12),
        ("workflow=two&label=parity:even", 3),
        ("status=succeeded", 0),
        ("status=pending", 25),
        ("q=tw", 5),
        ("version=2", 0),
    ] {
        let page = server.get(&format!("/api/executions?limit=100&{query}")).await.body;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }
    server.get("/api/executions?workflow=absent").await.is_problem(404, "NOT_FOUND");
    server.stop().await;
}
