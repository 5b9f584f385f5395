//! What an expected response becomes.

use serde_json::{Value, json};

use crate::{http, server};

#[tokio::test]
async fn a_body_is_read_as_its_content_type_says() {
    let base = server::start().await;
    for (kind, body) in [
        ("json", json!({ "a": [1, 2.5] })),
        ("problem", json!({ "code": "X" })),
        ("broken-json", json!("{oops")),
        ("text", json!("grüße")),
        ("empty", Value::Null),
    ] {
        let output = http(json!({ "url": format!("{base}/typed/{kind}") })).await.unwrap();
        assert_eq!(output["body"], body, "{kind}");
        assert_eq!(output.get("bodyEncoding"), None, "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_text_is_base64_and_says_so() {
    let base = server::start().await;
    let output = http(json!({ "url": format!("{base}/typed/binary") })).await.unwrap();
    assert_eq!((&output["body"], &output["bodyEncoding"]), (&json!("/wCA"), &json!("base64")));
}

#[tokio::test]
async fn headers_have_lower_case_names_and_repeated_ones_are_joined() {
    let base = server::start().await;
    let output = http(json!({ "url": format!("{base}/typed/text") })).await.unwrap();
    assert_eq!(output["headers"]["content-type"], "text/plain");
    assert_eq!(output["headers"]["x-many"], "a, b");
}

#[tokio::test]
async fn the_expected_statuses_decide_what_is_a_success() {
    let base = server::start().await;
    for (status, expected, succeeds) in [
        (204, json!(null), true),
        (404, json!([404]), true),
        (404, json!(["4xx"]), true),
        (404, json!([200, "4xx"]), true),
        (200, json!([201]), false),
        (302, json!(null), false),
        (302, json!(["3xx"]), true),
    ] {
        let mut config = json!({ "url": format!("{base}/status/{status}") });
        if !expected.is_null() {
            config["expectStatus"] = expected.clone();
        }
        assert_eq!(http(config).await.is_ok(), succeeds, "{status} {expected}");
    }
}

#[tokio::test]
async fn redirects_are_followed_up_to_their_limit_and_then_are_the_response() {
    let base = server::start().await;
    for (redirects, limit, status) in [
        (5, None, 200),
        (6, None, 307),
        (1, Some(0), 307),
        (2, Some(2), 200),
        (3, Some(2), 307),
        (10, Some(10), 200),
    ] {
        let mut config =
            json!({ "url": format!("{base}/redirect/{redirects}"), "expectStatus": ["2xx", 307] });
        if let Some(limit) = limit {
            config["maxRedirects"] = json!(limit);
        }
        assert_eq!(http(config).await.unwrap()["status"], status, "{redirects} of {limit:?}");
    }
}

#[tokio::test]
async fn a_redirect_out_of_http_is_not_followed() {
    let base = server::start().await;
    let config =
        json!({ "url": format!("{base}/redirect-away?file:///etc/passwd"), "expectStatus": [307] });
    assert_eq!(http(config).await.unwrap()["headers"]["location"], "file:///etc/passwd");
}
