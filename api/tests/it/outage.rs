//! A server whose database is gone: it lives, says so, and tells callers to come back.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, send};

#[tokio::test]
async fn without_the_database_callers_are_told_to_come_back() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    let id = server.begin("w", json!({})).await;
    server.store.close().await;
    let execution = format!("/api/executions/{id}");
    let cases = [
        (Method::GET, "/api/workflows"),
        (Method::GET, "/api/executions"),
        (Method::GET, &execution),
        (Method::GET, "/api/plugins"),
        (Method::GET, "/api/workers"),
        (Method::POST, "/api/workflows/w/execute"),
        (Method::POST, "/api/workflows/w/execute?wait=60000"),
        (Method::POST, &format!("{execution}/cancel")),
    ];
    for (method, path) in cases {
        let response = server.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.headers().get("retry-after").unwrap(), "1", "{method} {path}");
        send(server.request(method, path)).await.is_problem(503, "DATABASE_UNAVAILABLE");
    }
    server.get("/api/health/ready").await.is_problem(503, "NOT_READY");
    assert_eq!(server.get("/api/health/live").await.status, 200);
    let health = server.get("/api/health").await;
    assert_eq!((health.status, &health.body["status"]), (200, &json!("unhealthy")));
    let health = server.get("/api/admin/health").await;
    assert_eq!((health.status, &health.body["status"]), (503, &json!("unhealthy")));
    assert_eq!(
        (&health.body["alerts"][0]["check"], &health.body["alerts"][0]["severity"]),
        (&json!("database"), &json!("critical"))
    );
    let metrics = server.text("/api/metrics/prometheus").await;
    assert!(metrics.contains("stateflow_http_request_duration_seconds_count"), "{metrics}");
    server.stop().await;
}
