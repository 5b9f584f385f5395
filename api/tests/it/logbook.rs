//! A log that is longer than one page.

use serde_json::{Value, json};

use crate::guests::talkative;
use crate::server::Server;

/// Lines of one attempt, below the sandbox's limit of 256; and steps, so that there are more than 1,000 together.
const LINES: usize = 250;
const STEPS: usize = 5;

async fn page(server: &Server, path: &str) -> (Vec<(String, String)>, Option<String>) {
    let page = server.get(path).await.body;
    let text = |it: &Value, field: &str| it[field].as_str().unwrap().to_owned();
    let items = page["items"].as_array().unwrap().iter();
    let lines = items.map(|it| (text(it, "step"), text(it, "message"))).collect();
    (lines, page["nextCursor"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_read_in_pages_and_followed_to_its_end() {
    let server = Server::working().await;
    let uploaded = server.upload("?name=team/talk&version=1.0.0", talkative(LINES)).await;
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let steps = (0..STEPS).map(|n| {
        let mut step = json!({ "id": format!("s{n}"), "type": "team/talk@1.0.0" });
        if n + 1 < STEPS {
            step["next"] = json!(format!("s{}", n + 1));
        }
        step
    });
    server.publish("w", Value::Array(steps.collect())).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let path = format!("/api/executions/{}/logs", ended["id"].as_str().unwrap());
    let (mut lines, next) = page(&server, &path).await;
    assert_eq!(lines.len(), 1_000);
    let (rest, end) = page(&server, &format!("{path}?cursor={}", next.unwrap())).await;
    lines.extend(rest);
    assert_eq!(end, None);
    let of = |n: usize| std::iter::repeat_n((format!("s{n}"), "x".to_owned()), LINES);
    assert_eq!(lines, (0..STEPS).flat_map(of).collect::<Vec<_>>());
    let stream = server.text(&format!("{path}?follow")).await;
    assert_eq!(stream.matches("event: log").count(), STEPS * LINES);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_follows_from_the_start_sees_the_end() {
    let server = Server::working().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    let id = server.begin("w", json!({ "delayMs": 50 })).await;
    // The stream ends by itself, with the execution.
    let stream = server.text(&format!("/api/executions/{id}/logs?follow=true")).await;
    assert_eq!(stream.matches("event: log").count(), 1, "{stream}");
    assert_eq!(server.get(&format!("/api/executions/{id}")).await.body["status"], "succeeded");
    server.stop().await;
}
