//! Requests that are refused before anything happens.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, send};

#[tokio::test]
async fn unknown_paths_methods_and_bodies_are_problem_documents() {
    let server = Server::start().await;
    server.get("/api/nothing").await.is_problem(404, "NOT_FOUND");
    server.get("/api/executions/42").await.is_problem(404, "NOT_FOUND");
    let nobody = "/api/executions/01890000-0000-7000-8000-000000000000";
    for path in [nobody.to_owned(), format!("{nobody}/timeline"), format!("{nobody}/why")] {
        server.get(&path).await.is_problem(404, "NOT_FOUND");
    }
    let wrong = send(server.request(Method::PATCH, "/api/workflows")).await;
    wrong.is_problem(405, "METHOD_NOT_ALLOWED");
    let text = server.request(Method::POST, "/api/plugins").header("content-type", "text/plain");
    send(text.body("hello")).await.is_problem(415, "CONTENT_TYPE");
    let absent = server.post("/api/workflows/absent/execute", &json!({})).await;
    absent.is_problem(404, "NOT_FOUND");
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn json_comes_as_json_or_without_a_type() {
    let server = Server::start().await;
    let steps = json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }]);
    server.publish("w", steps.clone()).await;
    let definition = json!({ "name": "w", "steps": steps }).to_string();
    let calls = [
        (Method::POST, "/api/workflows/w/execute", "{}", 202),
        (Method::POST, "/api/workflows/w/execute/batch", r#"{"executions": [{}]}"#, 202),
        (Method::POST, "/api/events", r#"{"event": "e"}"#, 202),
        (Method::POST, "/api/workflows/validate", &definition, 200),
        (Method::PUT, "/api/workflows/w", &definition, 200),
    ];
    let bare = |method: &Method, path: &str, body: &str| {
        server.request(method.clone(), path).body(body.to_owned())
    };
    for (method, path, body, status) in calls {
        assert_eq!(send(bare(&method, path, body)).await.status, status, "{path}");
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/x+json"] {
            let answer = send(bare(&method, path, body).header("content-type", kind)).await;
            assert_eq!(answer.status, status, "{path} {kind}: {answer:?}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            let answer = send(bare(&method, path, body).header("content-type", kind)).await;
            answer.is_problem(415, "CONTENT_TYPE").says("application/json");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn queries_say_what_they_take() {
    let server = Server::start().await;
    for query in ["limit=0", "limit=501", "limit=many", "label=nocolon", "cursor=1", "colour=red"] {
        let answer = server.get(&format!("/api/executions?{query}")).await;
        answer.is_problem(400, "REQUEST_INVALID");
    }
    for (size, status) in [(1, 200), (500, 200)] {
        assert_eq!(server.get(&format!("/api/executions?limit={size}")).await.status, status);
    }
    server.stop().await;
}
