//! What the API says of itself: its document, its metrics, its health.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, send};

#[tokio::test]
async fn every_path_of_the_document_answers_to_its_methods() {
    let server = Server::start().await;
    let document = server.get("/api/openapi.json").await.body;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 20, "{:?}", paths.keys());
    for (path, methods) in paths {
        let real = path
            .replace("{id}", "01890000-0000-7000-8000-000000000000")
            .replace("{version}", "1")
            .replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = send(server.request(method.clone(), &real)).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            let nothing_here = answer.body["detail"]
                .as_str()
                .is_some_and(|it| it.contains("nothing at this path"));
            assert!(!nothing_here, "{method} {path}");
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let server = Server::working().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    server.run("w", json!({})).await;
    let text = server.text("/api/metrics/prometheus").await;
    for line in [
        "stateflow_executions_finished_total{status=\"succeeded\"} 1",
        "stateflow_attempts_finished_total{code=\"\",step_type=\"log\"} 1",
        "stateflow_queue_depth 0",
        "stateflow_executions_claimed_total 1",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit_once(' ').unwrap().1;
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn health_tells_life_from_readiness() {
    let server = Server::start().await;
    assert_eq!(server.get("/api/health/live").await.status, 200);
    assert_eq!(server.get("/api/health/ready").await.status, 200);
    let health = server.get("/api/health").await.body;
    assert_eq!((&health["status"], &health["workers"]), (&json!("healthy"), &json!(0)));
    server.stop().await;
}
