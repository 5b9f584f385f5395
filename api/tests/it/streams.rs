//! Streams of server-sent events: complete, in order, and resumed where a client left off.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, send};

/// An event: its name, its id, its data.
type Event = (String, Option<String>, Value);

async fn read(server: &Server, path: &str, after: Option<&str>) -> Vec<Event> {
    let mut request = server.request(Method::GET, path);
    if let Some(after) = after {
        request = request.header("Last-Event-ID", after);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    // It ends with the execution.
    parse(&response.text().await.unwrap())
}

fn parse(text: &str) -> Vec<Event> {
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)).map(|it| it.trim().to_owned())
    };
    let blocks = text.split("\n\n").filter(|block| block.contains("event:"));
    let events = blocks.map(|block| {
        let data = field(block, "data:").unwrap();
        (field(block, "event:").unwrap(), field(block, "id:"), serde_json::from_str(&data).unwrap())
    });
    events.collect()
}

fn three_steps() -> Value {
    json!([
        { "id": "a", "type": "log", "config": { "message": "one" }, "next": "b" },
        { "id": "b", "type": "wait", "config": { "durationMs": 50 }, "next": "c" },
        { "id": "c", "type": "log", "config": { "message": "two" } },
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_each_attempt_and_the_end_and_goes_on_where_it_was_left() {
    let server = Server::working().await;
    server.publish("w", three_steps()).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}/events");
    let events = read(&server, &path, None).await;
    let attempts: Vec<_> = events.iter().filter(|it| it.0 == "attempt").collect();
    let told: Vec<_> =
        attempts.iter().map(|it| (it.1.as_deref().unwrap(), &it.2["step"])).collect();
    assert_eq!(told, [("1", &json!("a")), ("2", &json!("b")), ("3", &json!("c"))]);
    let (name, _, data) = events.last().unwrap();
    assert_eq!((name.as_str(), &data["status"]), ("end", &json!("succeeded")));

    let rest = read(&server, &path, Some("2")).await;
    let steps: Vec<_> = rest.iter().map(|it| (it.0.as_str(), &it.2["step"])).collect();
    assert_eq!(steps, [("attempt", &json!("c")), ("end", &Value::Null)]);
    let request = server.request(Method::GET, &path).header("Last-Event-ID", "x");
    send(request).await.is_problem(400, "REQUEST_INVALID");
    let absent = format!("/api/executions/{}/events", uuid::Uuid::now_v7());
    server.get(&absent).await.is_problem(404, "NOT_FOUND");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_to_its_end_and_goes_on_where_it_was_left() {
    let server = Server::working().await;
    server.publish("w", three_steps()).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}/logs?follow");
    let events = read(&server, &path, None).await;
    let lines: Vec<_> = events.iter().filter(|it| it.0 == "log").collect();
    let said: Vec<_> = lines.iter().map(|it| &it.2["message"]).collect();
    assert_eq!(said, [&json!("one"), &json!("two")]);
    assert_eq!(events.last().unwrap().0, "end");
    let rest = read(&server, &path, lines[0].1.as_deref()).await;
    let said: Vec<_> = rest.iter().map(|it| &it.2["message"]).collect();
    assert_eq!(said, [&json!("two"), &Value::Null]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_an_execution_that_rests_stays_open() {
    let server = Server::working().await;
    let steps = json!([{ "id": "a", "type": "wait", "config": { "durationMs": 3_600_000 } }]);
    server.publish("w", steps).await;
    let id = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{id}");
    server.until(&path, "/status", "waiting").await;
    let response = server.request(Method::GET, &format!("{path}/events")).send().await.unwrap();
    let reading = tokio::spawn(response.text());
    assert_eq!(server.post(&format!("{path}/cancel"), &json!({})).await.status, 202);
    let events = parse(&reading.await.unwrap().unwrap());
    let (name, _, data) = events.last().unwrap();
    assert_eq!((name.as_str(), &data["status"]), ("end", &json!("cancelled")));
    assert_eq!(events[0].0, "status");
    server.stop().await;
}
