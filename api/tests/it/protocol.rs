//! What HTTP itself asks of a server, whatever the resource.

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::server::{Server, send};

/// One header of the answer.
async fn header(request: RequestBuilder, name: &str) -> Option<String> {
    let response = request.send().await.unwrap();
    Some(response.headers().get(name)?.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let server = Server::start().await;
    let cases = [
        ("/api/workflows", ["GET", "POST"].as_slice()),
        ("/api/workflows/w", &["GET", "PUT"]),
        ("/api/workflows/w/execute", &["POST"]),
        ("/api/openapi.json", &["GET"]),
    ];
    for (path, methods) in cases {
        let request = server.request(Method::PATCH, path);
        let allowed = header(request, "allow").await.unwrap_or_default();
        let allowed: Vec<_> = allowed.split(',').map(str::trim).collect();
        for method in methods {
            assert!(allowed.contains(method), "{path}: {allowed:?}");
        }
        send(server.request(Method::PATCH, path)).await.is_problem(405, "METHOD_NOT_ALLOWED");
    }
    server.stop().await;
}

#[tokio::test]
async fn every_answer_carries_its_id_and_a_problem_names_the_same() {
    let server = Server::start().await;
    let good = header(server.request(Method::GET, "/api/health"), "x-request-id").await.unwrap();
    let response = server.request(Method::GET, "/api/nothing").send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let problem: serde_json::Value = response.json().await.unwrap();
    assert_eq!(problem["requestId"], json!(id));
    assert_ne!(id, good);
    assert_eq!(problem["type"], "urn:stateflow:problem:NOT_FOUND");
    assert_eq!(problem["title"], "Not Found");
    server.stop().await;
}

#[tokio::test]
async fn a_body_is_an_object_not_a_list_of_its_fields() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    let id = server.begin("w", json!({})).await;
    let cancel = format!("/api/executions/{id}/cancel");
    let cases = [
        ("/api/workflows/w/execute", json!([])),
        ("/api/workflows/w/execute", json!([{ "n": 1 }, "key"])),
        ("/api/workflows/w/execute", json!(null)),
        ("/api/workflows/w/execute", json!("text")),
        ("/api/workflows/w/execute/batch", json!([[{ "input": 1 }]])),
        (cancel.as_str(), json!(["because"])),
    ];
    for (path, body) in cases {
        let answer = server.post(path, &body).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (400, &json!("REQUEST_INVALID")),
            "{body}"
        );
    }
    assert_eq!(server.get("/api/health").await.body["queueDepth"], 1, "nothing was started");
    server.stop().await;
}

/// Whoever makes up methods must not make up metrics: each label value is kept for ever.
#[tokio::test]
async fn made_up_methods_and_paths_do_not_become_metrics() {
    let server = Server::start().await;
    for n in 0..20 {
        let method = Method::from_bytes(format!("MADEUP{n}").as_bytes()).unwrap();
        send(server.request(method, &format!("/api/made-up-{n}")))
            .await
            .is_problem(404, "NOT_FOUND");
        send(server.request(Method::GET, &format!("/api/workflows/made-up-{n}"))).await;
    }
    let text = server.text("/api/metrics/prometheus").await;
    assert!(text.contains(r#"route="/api/workflows/{workflow}""#), "{text}");
    assert!(!text.contains("MADEUP") && !text.contains("made-up"), "{text}");
    server.stop().await;
}
