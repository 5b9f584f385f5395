//! What goes wrong, and which code and advice it gets.

use std::time::{Duration, SystemTime};

use engine::failure::{ErrorCode, Failure, RetryAdvice};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{http, server};

async fn failure_at(url: String) -> Failure {
    http(json!({ "url": url })).await.unwrap_err()
}

#[tokio::test]
async fn the_clients_faults_are_permanent_except_those_about_the_moment() {
    let base = server::start().await;
    for (status, advice) in [
        (400, RetryAdvice::Permanent),
        (401, RetryAdvice::Permanent),
        (404, RetryAdvice::Permanent),
        (408, RetryAdvice::Policy),
        (409, RetryAdvice::Permanent),
        (425, RetryAdvice::Policy),
        (429, RetryAdvice::Policy),
        (500, RetryAdvice::Policy),
        (503, RetryAdvice::Policy),
    ] {
        let failure = failure_at(format!("{base}/status/{status}")).await;
        assert_eq!((failure.code, failure.advice), (ErrorCode::HttpStatus, advice), "{status}");
        assert_eq!(failure.details.unwrap()["status"], status);
    }
}

#[tokio::test]
async fn retry_after_is_heeded_on_429_and_503_only() {
    let base = server::start().await;
    for (status, advice) in [
        (429, RetryAdvice::AfterMs(7_000)),
        (503, RetryAdvice::AfterMs(7_000)),
        (500, RetryAdvice::Policy),
        (404, RetryAdvice::Permanent),
    ] {
        let failure = failure_at(format!("{base}/retry/{status}/7")).await;
        assert_eq!(failure.advice, advice, "{status}");
    }
}

#[tokio::test]
async fn retry_after_may_be_a_date_or_nonsense() {
    let base = server::start().await;
    let date = httpdate(SystemTime::now() + Duration::from_hours(2));
    let failure = failure_at(format!("{base}/retry/503/{date}")).await;
    let RetryAdvice::AfterMs(pause) = failure.advice else { panic!("{failure:?}") };
    // A date has whole seconds, and the test may take its time; two hours are told from zero and from a day.
    assert!((3_600_000..=7_200_000).contains(&pause), "{pause}");

    let failure = failure_at(format!("{base}/retry/503/soon")).await;
    assert_eq!(failure.advice, RetryAdvice::Policy);
}

fn httpdate(instant: SystemTime) -> String {
    httpdate::fmt_http_date(instant).replace(' ', "%20")
}

#[tokio::test]
async fn a_failure_carries_the_beginning_of_the_body_and_no_credentials() {
    let base = server::start().await;
    for (bytes, kept, truncated) in [(4095, 4095, false), (4096, 4096, false), (4097, 4096, true)] {
        let details = failure_at(format!("{base}/status/500/bytes/{bytes}")).await.details.unwrap();
        assert_eq!(details["body"].as_str().unwrap().len(), kept);
        assert_eq!(details["bodyTruncated"], truncated, "{bytes}");
        assert!(details["headers"].get("content-type").is_some());
        assert!(!details.to_string().contains("secret"), "{details}");
    }
}

#[tokio::test]
async fn nobody_listening_and_unknown_hosts_are_connection_failures() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for url in [format!("http://{address}/?token=hush"), "http://nobody.invalid/?token=hush".into()]
    {
        let failure = failure_at(url.clone()).await;
        assert_eq!(
            (failure.code, failure.advice),
            (ErrorCode::HttpConnect, RetryAdvice::Policy),
            "{url}"
        );
        assert!(!failure.message.contains("hush"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_connection_failure() {
    for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
        let address = server::raw(answer).await;
        let failure = failure_at(format!("http://{address}/")).await;
        assert_eq!(failure.code, ErrorCode::HttpConnect, "{answer:?}: {failure}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_a_tls_failure() {
    let address = server::raw("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let failure = failure_at(format!("https://{address}/")).await;
    assert_eq!(
        (failure.code, failure.advice),
        (ErrorCode::HttpTls, RetryAdvice::Policy),
        "{failure}"
    );
}
