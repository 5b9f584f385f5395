//! What the config must look like, at publish (schema) and at run time.

use engine::failure::{ErrorCode, RetryAdvice};
use serde_json::{Value, json};

use crate::{http, steps};

fn schema(step_type: &str) -> jsonschema::Validator {
    let schema = steps().get(step_type).unwrap().config_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_schema_accepts_what_the_step_accepts() {
    let schema = schema("http");
    for config in [
        json!({ "url": "https://a/" }),
        json!({ "url": "https://a/", "method": "POST", "body": { "x": 1 }, "bodyFormat": "form",
                "headers": { "a": "b", "n": 1 }, "query": { "t": true }, "expectStatus": [201, "4xx"],
                "maxResponseBytes": 10, "maxRedirects": 0 }),
    ] {
        assert!(schema.is_valid(&config), "{config}");
    }
}

/// Every one of these is refused by the schema, so that it is found at publish, and by the step.
fn faulty() -> Vec<(&'static str, Value)> {
    vec![
        ("url", json!({})),
        ("url", json!({ "url": 5 })),
        ("timeout", json!({ "url": "https://a/", "timeout": 5 })),
        ("method", json!({ "url": "https://a/", "method": "CONNECT" })),
        ("method", json!({ "url": "https://a/", "method": "get" })),
        ("headers.a", json!({ "url": "https://a/", "headers": { "a": ["b"] } })),
        ("query.q", json!({ "url": "https://a/", "query": { "q": null } })),
        ("bodyFormat", json!({ "url": "https://a/", "body": "", "bodyFormat": "xml" })),
        ("expectStatus[1]", json!({ "url": "https://a/", "expectStatus": [200, "2x"] })),
        ("maxRedirects", json!({ "url": "https://a/", "maxRedirects": 11 })),
        ("maxResponseBytes", json!({ "url": "https://a/", "maxResponseBytes": -1 })),
    ]
}

#[test]
fn the_schema_refuses_what_the_step_refuses() {
    let schema = schema("http");
    for (field, config) in faulty() {
        assert!(!schema.is_valid(&config), "{field}: {config}");
    }
    // A setting without an effect.
    assert!(!schema.is_valid(&json!({ "url": "https://a/", "bodyFormat": "text" })));
}

#[tokio::test]
async fn a_faulty_config_is_a_permanent_failure_that_names_the_field() {
    for (field, config) in faulty() {
        let failure = http(config.clone()).await.unwrap_err();
        assert_eq!(
            (failure.code, failure.advice),
            (ErrorCode::ConfigInvalid, RetryAdvice::Permanent),
            "{config}"
        );
        assert!(failure.message.contains(&format!("`{field}`")), "{field}: {}", failure.message);
    }
}

#[tokio::test]
async fn what_only_http_forbids_is_a_permanent_failure_that_names_the_field() {
    for (word, config) in [
        ("`url`", json!({ "url": "not a url" })),
        ("`url`", json!({ "url": "/relative" })),
        ("`url`", json!({ "url": "ftp://a/" })),
        ("`url`", json!({ "url": "file:///etc/passwd" })),
        ("a b", json!({ "url": "http://a/", "headers": { "a b": "c" } })),
        ("`x-a`", json!({ "url": "http://a/", "headers": { "x-a": "two\r\nlines" } })),
        ("`content-length`", json!({ "url": "http://a/", "headers": { "Content-Length": "1" } })),
        (
            "`transfer-encoding`",
            json!({ "url": "http://a/", "headers": { "Transfer-Encoding": "chunked" } }),
        ),
        ("twice", json!({ "url": "http://a/", "headers": { "A": "1", "a": "2" } })),
        ("`body`", json!({ "url": "http://a/", "body": {}, "bodyFormat": "text" })),
        ("`body`", json!({ "url": "http://a/", "body": "a=1", "bodyFormat": "form" })),
        ("`body.f`", json!({ "url": "http://a/", "body": { "f": {} }, "bodyFormat": "form" })),
    ] {
        let failure = http(config.clone()).await.unwrap_err();
        assert_eq!(
            (failure.code, failure.advice),
            (ErrorCode::ConfigInvalid, RetryAdvice::Permanent),
            "{config}"
        );
        assert!(failure.message.contains(word), "{word}: {}", failure.message);
    }
}

#[test]
fn the_log_schema_wants_a_message_and_a_known_level() {
    let schema = schema("log");
    assert!(schema.is_valid(&json!({ "message": "m", "level": "warn", "fields": { "a": [1] } })));
    for faulty in
        [json!({}), json!({ "message": "m", "level": "loud" }), json!({ "message": "m", "x": 1 })]
    {
        assert!(!schema.is_valid(&faulty), "{faulty}");
    }
}
