//! The `http` step's limits, just under, at and just over.

use engine::failure::{ErrorCode, Failure, RetryAdvice};
use serde_json::{Value, json};
use stateflow_native::HttpSettings;

use super::{http, http_failure, run_with, server};

async fn get(path: &str, limit: Option<u64>, allowed: u64) -> Result<Value, Failure> {
    let url = format!("{}{path}", server::start().await);
    let settings = HttpSettings { max_response_bytes: allowed, ..HttpSettings::default() };
    let mut config = json!({ "url": url });
    if let Some(limit) = limit {
        config["maxResponseBytes"] = limit.into();
    }
    run_with(settings, "http", config).await.result
}

#[tokio::test]
async fn a_response_may_be_as_long_as_the_limit_and_no_longer() {
    for kind in ["bytes", "stream"] {
        for length in [999, 1000] {
            let output = get(&format!("/{kind}/{length}"), Some(1000), 5000).await.unwrap();
            assert_eq!(output["body"].as_str().unwrap().len(), length, "{kind}");
        }
        let failure = get(&format!("/{kind}/1001"), Some(1000), 5000).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::OutputTooLarge, "{kind}");
        assert_eq!(failure.advice, RetryAdvice::Permanent);
        assert_eq!(failure.details, Some(json!({ "limitBytes": 1000 })));
    }
}

#[tokio::test]
async fn the_operators_limit_holds_for_steps_that_name_none() {
    assert!(get("/bytes/1000", None, 1000).await.is_ok());
    let failure = get("/bytes/1001", None, 1000).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::OutputTooLarge);
}

#[tokio::test]
async fn a_response_without_an_end_is_left_at_the_limit() {
    let failure = get("/endless", None, 10_000).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::OutputTooLarge);
}

#[tokio::test]
async fn a_step_cannot_raise_the_operators_limit() {
    assert!(get("/bytes/1", Some(1000), 1000).await.is_ok());
    let failure = get("/bytes/1", Some(1001), 1000).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::ConfigInvalid);
    assert_eq!(failure.advice, RetryAdvice::Permanent);
}

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    let server = server::start().await;
    for (hops, limit, is_success) in
        [(1, 1, true), (2, 1, false), (10, 10, true), (11, 10, false), (4, 5, true)]
    {
        let url = format!("{server}/redirect/{}", hops - 1);
        let result = http(json!({ "url": url, "maxRedirects": limit })).await;
        assert_eq!(result.is_ok(), is_success, "{hops} hops of {limit}");
        if let Err(failure) = result {
            assert_eq!(failure.code, ErrorCode::ConfigInvalid, "{failure}");
            assert_eq!(failure.advice, RetryAdvice::Permanent);
        }
    }
}

#[tokio::test]
async fn five_redirects_are_followed_unless_the_config_says_otherwise() {
    let server = server::start().await;
    assert!(http(json!({ "url": format!("{server}/redirect/4") })).await.is_ok());
    assert!(http(json!({ "url": format!("{server}/redirect/5") })).await.is_err());
}

#[tokio::test]
async fn without_redirects_a_redirect_is_a_response() {
    let url = format!("{}/redirect/0", server::start().await);
    let config = json!({ "url": url, "maxRedirects": 0, "expectStatus": ["3xx"] });
    let output = http(config).await.unwrap();
    assert_eq!(output["headers"]["location"], "/echo");
    let failure = http_failure(json!({ "url": url, "maxRedirects": 0 })).await;
    assert_eq!(failure.code, ErrorCode::HttpStatus);
}

#[tokio::test]
async fn more_than_ten_redirects_cannot_be_asked_for() {
    let failure = http_failure(json!({ "url": "http://localhost", "maxRedirects": 11 })).await;
    assert_eq!(failure.code, ErrorCode::ConfigInvalid);
}

#[tokio::test]
async fn four_kibibytes_of_an_unexpected_response_are_kept() {
    let url = format!("{}/answer", server::start().await);
    for (length, kept) in [(4095, 4095), (4096, 4096), (4097, 4096), (50_000, 4096)] {
        let query = json!({ "status": 500, "body": "x", "repeat": length });
        let failure = http_failure(json!({ "url": url, "query": query })).await;
        assert_eq!(failure.code, ErrorCode::HttpStatus);
        assert_eq!(failure.details.unwrap()["body"].as_str().unwrap().len(), kept);
    }
}
