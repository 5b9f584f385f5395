//! The `http` step: every failure has its code and its advice.

use std::time::{Duration, SystemTime};

use engine::failure::{ErrorCode, Failure, RetryAdvice};
use serde_json::{Value, json};

use super::{http_failure, server};

async fn status(query: Value) -> Failure {
    let url = format!("{}/answer", server::start().await);
    let failure = http_failure(json!({ "url": url, "query": query })).await;
    assert_eq!(failure.code, ErrorCode::HttpStatus);
    failure
}

async fn refused(config: Value) {
    let failure = http_failure(config.clone()).await;
    assert_eq!(failure.code, ErrorCode::ConfigInvalid, "{config}: {failure}");
    assert_eq!(failure.advice, RetryAdvice::Permanent, "{config}");
}

#[tokio::test]
async fn an_unexpected_status_carries_the_status_and_the_body() {
    let failure = status(json!({ "status": 500, "body": "oops" })).await;
    assert_eq!(failure.details, Some(json!({ "status": 500, "body": "oops" })));
    assert!(failure.message.contains("500"), "{failure}");
}

#[tokio::test]
async fn the_clients_own_mistakes_are_permanent_but_for_three() {
    for code in [400, 401, 404, 409, 422, 499] {
        let failure = status(json!({ "status": code })).await;
        assert_eq!(failure.advice, RetryAdvice::Permanent, "{code}");
    }
    for code in [408, 425, 429, 500, 502, 503] {
        let failure = status(json!({ "status": code })).await;
        assert_eq!(failure.advice, RetryAdvice::Policy, "{code}");
    }
}

#[tokio::test]
async fn a_wait_in_seconds_is_passed_on_up_to_an_hour() {
    for (retry, expected) in [
        ("0", 0),
        ("7", 7000),
        ("3599", 3_599_000),
        ("3600", 3_600_000),
        ("3601", 3_600_000),
        ("99999999999999999999999", 3_600_000),
    ] {
        for code in [429, 503] {
            let failure = status(json!({ "status": code, "retry": retry })).await;
            assert_eq!(failure.advice, RetryAdvice::AfterMs(expected), "{code} {retry}");
        }
    }
}

#[tokio::test]
async fn a_wait_up_to_a_date_is_passed_on_up_to_an_hour() {
    let date = |ahead| httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(ahead));
    let failure = status(json!({ "status": 503, "retry": date(86_400) })).await;
    assert_eq!(failure.advice, RetryAdvice::AfterMs(3_600_000));
    let failure = status(json!({ "status": 429, "retry": date(1800) })).await;
    let RetryAdvice::AfterMs(wait) = failure.advice else { panic!("{:?}", failure.advice) };
    assert!(wait > 0 && wait <= 1_800_000, "{wait}");
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    let failure = status(json!({ "status": 429, "retry": past })).await;
    assert_eq!(failure.advice, RetryAdvice::AfterMs(0));
}

#[tokio::test]
async fn a_wait_that_cannot_be_read_or_does_not_belong_is_ignored() {
    for (code, retry, expected) in [
        (429, "soon", RetryAdvice::Policy),
        (503, "-1", RetryAdvice::Policy),
        (500, "7", RetryAdvice::Policy),
        (404, "7", RetryAdvice::Permanent),
    ] {
        let failure = status(json!({ "status": code, "retry": retry })).await;
        assert_eq!(failure.advice, expected, "{code} {retry}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_a_connect_failure() {
    let unreachable = server::nobody().await;
    for url in [unreachable, "http://no-such-host.invalid/".into()] {
        let failure = http_failure(json!({ "url": url, "query": { "token": "s3cret" } })).await;
        assert_eq!(failure.code, ErrorCode::HttpConnect, "{failure}");
        assert_eq!(failure.advice, RetryAdvice::Policy);
        assert!(!failure.message.contains("s3cret"), "{failure}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_connect_failure() {
    let before = server::raw(b"").await;
    let within = server::raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
    let nonsense = server::raw(b"220 smtp ready\r\n").await;
    for url in [before, within, nonsense] {
        let failure = http_failure(json!({ "url": url })).await;
        assert_eq!(failure.code, ErrorCode::HttpConnect, "{failure}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_speak_tls_is_a_tls_failure() {
    let url = server::start().await.replace("http://", "https://");
    let failure = http_failure(json!({ "url": url })).await;
    assert_eq!(failure.code, ErrorCode::HttpTls, "{failure}");
    assert_eq!(failure.advice, RetryAdvice::Policy);
}

#[tokio::test]
async fn a_config_that_cannot_be_sent_is_refused_for_good() {
    let url = "http://localhost:1/";
    for config in [
        json!({ "url": "not a url" }),
        json!({ "url": "/relative" }),
        json!({ "url": "ftp://localhost/" }),
        json!({ "url": "http://" }),
        json!({ "url": url, "method": "FETCH" }),
        json!({ "url": url, "headers": { "bad name": "x" } }),
        json!({ "url": url, "headers": { "x": "a\r\nb: c" } }),
        json!({ "url": url, "headers": { "Content-Length": "3" } }),
        json!({ "url": url, "query": { "list": [1] } }),
        json!({ "url": url, "body": 7, "bodyFormat": "text" }),
        json!({ "url": url, "body": "a=b", "bodyFormat": "form" }),
        json!({ "url": url, "body": { "a": [1] }, "bodyFormat": "form" }),
        json!({ "url": url, "expectStatus": ["2x"] }),
        json!({ "url": url, "expectStatus": ["6xx"] }),
        json!({ "url": url, "expectStatus": [99] }),
        json!({ "url": url, "unknown": 1 }),
        json!({ "method": "GET" }),
    ] {
        refused(config).await;
    }
}

#[tokio::test]
async fn a_header_value_is_not_repeated_in_a_message() {
    let headers = json!({ "authorization": "s3cret\n" });
    let failure = http_failure(json!({ "url": "http://localhost:1/", "headers": headers })).await;
    assert!(!failure.message.contains("s3cret"), "{failure}");
}
