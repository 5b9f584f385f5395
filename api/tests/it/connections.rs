//! Clients that mean no good, or are broken: none of them keeps others out, or gets more than a refusal.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Server, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_silent_and_slow_connections_keep_nobody_out() {
    let server = Server::start().await;
    let mut open = Vec::new();
    for n in 0..1_000 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        if n % 2 == 0 {
            // The beginning of a request that never goes on.
            stream
                .write_all(b"POST /api/workflows HTTP/1.1\r\nhost: x\r\ncontent-le")
                .await
                .unwrap();
        }
        open.push(stream);
    }
    let health = server.get("/api/health").await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("healthy")));
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    drop(open);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_and_never_reads_costs_nobody_else_anything() {
    let server = Server::working().await;
    let lines = json!([{ "id": "a", "type": "map", "config": { "items": "${input}", "steps": [
        { "id": "say", "type": "log", "config": { "message": "hi" } }] } }]);
    server.publish("w", lines).await;
    let id = server.begin("w", json!({ "input": [1, 2, 3] })).await;
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET /api/executions/{id}/events HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    server.until(&format!("/api/executions/{id}"), "/status", "succeeded").await;
    // One of them reads after all, and finds the whole of it.
    let mut text = String::new();
    let mut reader = deaf.pop().unwrap();
    while !text.contains("event: end") {
        let mut piece = [0; 4_096];
        let read = reader.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "it ends without its end: {text}");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    assert!(text.contains("text/event-stream"), "{text}");
    drop(deaf);
    server.stop().await;
}

#[tokio::test]
async fn sql_in_a_filter_is_text_and_finds_nothing() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    server.begin("w", json!({})).await;
    let attack = "%27%20or%201%3D1%20--%20";
    for query in
        [format!("q={attack}"), format!("label=team:{attack}"), format!("label={attack}:x")]
    {
        let found = server.get(&format!("/api/executions?{query}")).await;
        assert_eq!((found.status, &found.body["items"]), (200, &json!([])), "{query}");
    }
    let named = server.get(&format!("/api/executions?workflow={attack}")).await;
    named.is_problem(404, "NOT_FOUND");
    for query in [format!("cursor={attack}"), format!("error={attack}"), format!("status={attack}")]
    {
        let refused = server.get(&format!("/api/executions?{query}")).await;
        refused.is_problem(400, "REQUEST_INVALID");
    }
    assert_eq!(server.number("select count(*) from stateflow.executions").await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_body_of_twenty_megabytes_is_refused_where_one_has_its_place() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    let large = format!("{{\"input\": \"{}\"}}", "x".repeat(20 << 20));
    for path in ["/api/workflows/w/execute", "/api/workflows", "/api/events", "/api/dlq/purge"] {
        let request = server.request(Method::POST, path).header("content-type", "application/json");
        send(request.body(large.clone())).await.is_problem(413, "TOO_LARGE");
    }
    let deep = format!("{{\"input\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    server.post_text("/api/workflows/w/execute", deep).await.is_problem(400, "REQUEST_INVALID");
    assert_eq!(server.number("select count(*) from stateflow.executions").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn who_says_everything_first_hears_why_it_was_refused() {
    let server = Server::start().await;
    let page = vec![b'x'; 20 << 20];
    for (path, status) in
        [("/api/workflows", "415"), ("/api/nothing", "404"), ("/api/events", "413")]
    {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let length = page.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: text/html\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&page).await.unwrap();
        // The connection is as good as before.
        stream
            .write_all(b"GET /api/health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answers}");
        assert!(answers.contains("HTTP/1.1 200 OK"), "{path}: {answers}");
    }
    server.stop().await;
}
