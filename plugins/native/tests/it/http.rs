//! The `http` step: what it sends, and what it puts out.

use serde_json::{Value, json};

use super::{attempt, http, server};

async fn echoed(mut config: Value) -> Value {
    let path = config["url"].as_str().unwrap_or("/echo").to_owned();
    config["url"] = format!("{}{path}", server::start().await).into();
    http(config).await.unwrap()["body"].take()
}

async fn answered(query: Value) -> Value {
    let url = format!("{}/answer", server::start().await);
    http(json!({ "url": url, "query": query })).await.unwrap()
}

#[tokio::test]
async fn a_bare_url_is_a_get_with_the_key_and_the_trace_of_the_attempt() {
    let request = echoed(json!({})).await;
    assert_eq!(request["method"], "GET");
    assert_eq!(request["body"], "");
    assert_eq!(request["headers"]["idempotency-key"], attempt().idempotency_key());
    assert_eq!(request["headers"]["traceparent"], attempt().traceparent());
    assert!(request["headers"]["user-agent"].as_str().unwrap().starts_with("stateflow/"));
}

#[tokio::test]
async fn headers_of_the_config_take_precedence_in_any_case() {
    let request = echoed(json!({
        "headers": { "idempotency-KEY": "mine", "Traceparent": "00-x", "X-Name": "Zoë" },
    }))
    .await;
    assert_eq!(request["headers"]["idempotency-key"], "mine");
    assert_eq!(request["headers"]["traceparent"], "00-x");
    assert_eq!(request["headers"]["x-name"], "Zoë");
}

#[tokio::test]
async fn a_query_is_appended_and_escaped() {
    let request = echoed(json!({
        "url": "/echo?old=1",
        "query": { "text": "a b&c", "number": 1.5, "flag": true },
    }))
    .await;
    assert_eq!(request["uri"], "/echo?old=1&flag=true&number=1.5&text=a+b%26c");
}

#[tokio::test]
async fn a_body_is_written_in_its_format_and_names_its_type() {
    let json = echoed(json!({ "method": "POST", "body": { "a": [1] } })).await;
    assert_eq!(json["body"], r#"{"a":[1]}"#);
    assert_eq!(json["headers"]["content-type"], "application/json");
    let text = echoed(json!({ "method": "PUT", "body": "hi", "bodyFormat": "text" })).await;
    assert_eq!((&text["method"], &text["body"]), (&json!("PUT"), &json!("hi")));
    assert_eq!(text["headers"]["content-type"], "text/plain; charset=utf-8");
    let form = json!({ "a": "x y", "b": 2, "c": false });
    let form = echoed(json!({ "method": "POST", "body": form, "bodyFormat": "form" })).await;
    assert_eq!(form["body"], "a=x+y&b=2&c=false");
    assert_eq!(form["headers"]["content-type"], "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn a_content_type_of_the_config_is_kept() {
    for format in ["json", "text", "form"] {
        let body = if format == "form" { json!({ "a": 1 }) } else { json!("a") };
        let request = echoed(json!({
            "method": "PATCH", "body": body, "bodyFormat": format,
            "headers": { "content-type": "application/x-own" },
        }))
        .await;
        assert_eq!(request["headers"]["content-type"], "application/x-own", "{format}");
    }
}

#[tokio::test]
async fn a_null_body_is_no_body() {
    let request = echoed(json!({ "method": "POST", "body": null })).await;
    assert_eq!(request["body"], "");
    assert_eq!(request["headers"].get("content-type"), None);
}

#[tokio::test]
async fn a_json_response_is_parsed_and_another_is_text() {
    for content_type in ["application/json", "Application/Problem+JSON; charset=utf-8"] {
        let output = answered(json!({ "type": content_type, "body": r#"{"a":1}"# })).await;
        assert_eq!(output["body"], json!({ "a": 1 }), "{content_type}");
    }
    let output = answered(json!({ "type": "text/plain", "body": r#"{"a":1}"# })).await;
    assert_eq!(output["body"], r#"{"a":1}"#);
    assert_eq!(output["status"], 200);
    assert_eq!(output["headers"]["content-type"], "text/plain");
    assert_eq!(output["headers"]["x-two"], "a, b");
}

#[tokio::test]
async fn a_response_that_only_claims_to_be_json_is_text_or_null() {
    let broken = answered(json!({ "type": "application/json", "body": "{" })).await;
    assert_eq!(broken["body"], "{");
    let empty = answered(json!({ "type": "application/json" })).await;
    assert_eq!(empty["body"], Value::Null);
}

#[tokio::test]
async fn a_response_that_is_not_utf_8_is_base64() {
    let output = answered(json!({ "body": "binary" })).await;
    assert_eq!((&output["body"], &output["bodyEncoding"]), (&json!("/wD+"), &json!("base64")));
    assert_eq!(answered(json!({ "body": "text" })).await.get("bodyEncoding"), None);
}

#[tokio::test]
async fn expected_statuses_are_codes_or_classes() {
    let url = format!("{}/answer", server::start().await);
    for (status, expected, is_success) in [
        (204, json!([204]), true),
        (200, json!([204]), false),
        (404, json!(["2xx", 404]), true),
        (503, json!(["5xx"]), true),
        (503, json!(["4xx"]), false),
        (299, json!(["2xx"]), true),
        (300, json!(["2xx"]), false),
    ] {
        let config = json!({ "url": url, "query": { "status": status }, "expectStatus": expected });
        assert_eq!(http(config).await.is_ok(), is_success, "{status} {expected}");
    }
}

#[tokio::test]
async fn a_head_request_has_an_empty_body_whatever_the_length_says() {
    let url = format!("{}/bytes/5000", server::start().await);
    let output = http(json!({ "url": url, "method": "HEAD", "maxResponseBytes": 10 })).await;
    assert_eq!(output.unwrap()["body"], "");
}
