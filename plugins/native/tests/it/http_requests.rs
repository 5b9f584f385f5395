//! What a request carries.

use serde_json::json;

use crate::{attempt, http, server};

#[tokio::test]
async fn a_url_alone_is_a_get_that_identifies_the_attempt() {
    let base = server::start().await;
    let output = http(json!({ "url": format!("{base}/echo") })).await.unwrap();
    let seen = &output["body"];
    assert_eq!(output["status"], 200);
    assert_eq!((&seen["method"], &seen["body"]), (&json!("GET"), &json!("")));
    assert_eq!(seen["headers"]["idempotency-key"], attempt().idempotency_key());
    assert_eq!(seen["headers"]["traceparent"], attempt().trace.to_string());
    assert!(seen["headers"]["user-agent"].as_str().unwrap().starts_with("stateflow/"));
}

#[tokio::test]
async fn the_steps_own_headers_win_over_the_ones_that_are_always_sent() {
    let base = server::start().await;
    let headers = json!({ "Idempotency-Key": "mine", "TraceParent": "t", "User-Agent": "u", "X-N": 5, "X-T": true });
    let output = http(json!({ "url": format!("{base}/echo"), "headers": headers })).await.unwrap();
    let seen = &output["body"]["headers"];
    for (name, value) in [
        ("idempotency-key", "mine"),
        ("traceparent", "t"),
        ("user-agent", "u"),
        ("x-n", "5"),
        ("x-t", "true"),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
}

#[tokio::test]
async fn query_parameters_are_appended_and_escaped() {
    let base = server::start().await;
    let config = json!({ "url": format!("{base}/echo?a=1"), "query": { "q": "x&y z", "page": 2 } });
    let output = http(config).await.unwrap();
    let query = output["body"]["query"].as_str().unwrap();
    assert!(query.starts_with("a=1&"), "{query}");
    assert!(query.contains("q=x%26y+z") && query.contains("page=2"), "{query}");
}

#[tokio::test]
async fn a_body_is_written_in_the_wanted_format() {
    let base = server::start().await;
    for (format, body, content_type, written) in [
        ("json", json!({ "a": [1, null] }), "application/json", r#"{"a":[1,null]}"#),
        ("json", json!("text"), "application/json", r#""text""#),
        ("text", json!("plain"), "text/plain; charset=utf-8", "plain"),
        (
            "form",
            json!({ "a": "x y", "b": [1, true] }),
            "application/x-www-form-urlencoded",
            "a=x+y&b=1&b=true",
        ),
    ] {
        let config = json!({ "url": format!("{base}/echo"), "method": "POST", "body": body, "bodyFormat": format });
        let seen = http(config).await.unwrap()["body"].clone();
        assert_eq!(seen["method"], "POST");
        assert_eq!(
            (&seen["headers"]["content-type"], &seen["body"]),
            (&json!(content_type), &json!(written))
        );
    }
}

#[tokio::test]
async fn a_content_type_of_the_steps_own_is_kept() {
    let base = server::start().await;
    let config = json!({
        "url": format!("{base}/echo"), "method": "PUT", "body": {},
        "headers": { "content-type": "application/vnd.acme+json" }
    });
    assert_eq!(
        http(config).await.unwrap()["body"]["headers"]["content-type"],
        "application/vnd.acme+json"
    );
}

#[tokio::test]
async fn every_listed_method_is_sent_as_it_is() {
    let base = server::start().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let config = json!({ "url": format!("{base}/echo"), "method": method });
        assert_eq!(http(config).await.unwrap()["body"]["method"], method);
    }
    let head = http(json!({ "url": format!("{base}/echo"), "method": "HEAD" })).await.unwrap();
    assert_eq!((&head["status"], &head["body"]), (&json!(200), &json!(null)));
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let (first, second) = (server::start().await, server::start().await);
    let config = json!({
        "url": format!("{first}/redirect-away?{second}/echo"),
        "headers": { "Authorization": "Bearer secret", "Cookie": "c=secret" }
    });
    let output = http(config).await.unwrap();
    assert!(!output["body"]["headers"].to_string().contains("secret"), "{output}");
}
