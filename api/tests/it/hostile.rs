//! Text and numbers that a parser or the database may stumble over: refused or taken as they are, never our fault.

use serde_json::{Value, json};

use crate::server::Server;

const NOBODY: &str = "/api/executions/01890000-0000-7000-8000-000000000000";

async fn server() -> Server {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    server
}

#[tokio::test]
async fn no_path_and_no_query_is_our_fault() {
    let server = server().await;
    let id = server.begin("w", json!({})).await;
    let mut paths = vec![
        format!("/api/executions/{id}/logs?cursor=-1.-1"),
        format!("/api/executions/{id}/logs?cursor=99999999999.1"),
        format!("/api/executions/{id}/timeline?cursor=-2147483648"),
        format!("{NOBODY}%00"),
    ];
    let fixed = [
        "/api/workflows/%00",
        "/api/workflows/%FF",
        "/api/workflows/w%00/versions/1",
        "/api/workflows/w/versions/-1",
        "/api/workflows/w/versions/99999999999",
        "/api/workflows?cursor=%00",
        "/api/workflows?cursor=%FF",
        "/api/plugins/%00/x",
        "/api/plugins/team/%00",
        "/api/plugins/team/x/%00",
        "/api/executions?workflow=%00",
        "/api/executions?status=%00",
        "/api/executions?error=%00",
        "/api/executions?q=%00",
        "/api/executions?q=%5C",
        "/api/executions?label=%00:x",
        "/api/executions?label=x:%00",
        "/api/executions?version=99999999999",
        "/api/executions?since=-9999-01-01T00:00:00Z",
        "/api/executions?since=%2B250000-01-01T00:00:00Z",
        "/api/executions?until=-9999-01-01T00:00:00Z",
    ];
    paths.extend(fixed.map(str::to_owned));
    for path in paths {
        let answer = server.get(&path).await;
        assert!(answer.status < 500, "{path}: {answer:?}");
        assert!(answer.status == 200 || answer.body["code"].is_string(), "{path}: {answer:?}");
    }
    assert_eq!(server.get("/api/health").await.body["status"], "healthy");
    server.stop().await;
}

#[tokio::test]
async fn no_body_is_our_fault() {
    let server = server().await;
    let id = server.begin("w", json!({})).await;
    let deep = format!("{{\"input\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let cases = [
        ("/api/workflows/w/execute", r#"{"idempotencyKey": "\u0000"}"#.to_owned(), 400),
        ("/api/workflows/w/execute", r#"{"labels": {"\u0000": "x"}}"#.to_owned(), 400),
        ("/api/workflows/w/execute", r#"{"labels": {"x": "\u0000"}}"#.to_owned(), 400),
        ("/api/workflows/w/execute", r#"{"input": "\ud800"}"#.to_owned(), 400),
        ("/api/workflows/w/execute", r#"{"input": 1e999}"#.to_owned(), 400),
        ("/api/workflows/w/execute", r#"{"input": 1, "input": 2}"#.to_owned(), 400),
        ("/api/workflows/w/execute", r#"{"version": -1}"#.to_owned(), 404),
        ("/api/workflows/w/execute", deep, 400),
        ("/api/workflows/%00/execute", "{}".to_owned(), 404),
        ("/api/workflows/validate", "[".repeat(100_000), 200),
        ("/api/workflows", "[".repeat(100_000), 422),
    ];
    for (path, body, status) in cases {
        let answer = server.post_text(path, body).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let reason = json!({ "reason": "a\0b" });
    let answer = server.post(&format!("/api/executions/{id}/cancel"), &reason).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(server.get("/api/health").await.body["queueDepth"], 1, "nothing else was started");
    server.stop().await;
}

/// Text with NUL, which Postgres has no place for, may come in and must not make anything unreadable.
#[tokio::test(flavor = "multi_thread")]
async fn nul_in_inputs_messages_and_failures_leaves_everything_readable() {
    let server = Server::working().await;
    let say = json!({ "id": "say", "type": "log", "next": "go",
        "config": { "message": "${input.text}", "fields": { "text": "${input.text}" } } });
    let go = json!({ "id": "go", "type": "http", "config": { "url": "${input.text}" } });
    server.publish("w", json!([say, go])).await;
    let input = json!({ "text": "a\0b" });
    let ended = server.run("w", input.clone()).await;
    assert_eq!(ended["status"], "failed");
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    let seen = server.get(&path).await;
    assert_eq!((seen.status, &seen.body["input"]), (200, &input));
    for list in [format!("{path}/logs"), format!("{path}/timeline")] {
        let answer = server.get(&list).await;
        assert_eq!(answer.status, 200, "{list}: {answer:?}");
        assert_ne!(answer.body["items"], json!([]), "{list}");
    }
    let code = ended["error"]["code"].as_str().unwrap();
    let found = server.get(&format!("/api/executions?error={code}")).await;
    assert_eq!(found.body["items"][0]["id"], ended["id"], "{found:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_a_definition_says_is_kept_to_the_letter() {
    let server = Server::start().await;
    let definition: Value = serde_json::from_str(
        r#"{ "name": "w", "description": "a\u0000b \\u0000 🦀", "steps": [
             { "type": "log", "id": "a", "config": { "message": "1.0", "fields": { "z": 1.0, "a": 18446744073709551615 } } } ] }"#,
    )
    .unwrap();
    let created = server.post("/api/workflows", &definition).await;
    assert_eq!(created.status, 201, "{created:?}");
    let kept = server.get("/api/workflows/w").await.body;
    // As text: the order of fields is the author's, too.
    assert_eq!(kept["definition"].to_string(), definition.to_string());
    server.stop().await;
}
