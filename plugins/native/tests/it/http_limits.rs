//! Every limit: just under, at, over.

use engine::failure::{ErrorCode, RetryAdvice};
use serde_json::{Map, Value, json};

use crate::{http, server};

/// The tests' operator allows 1,000 bytes.
#[tokio::test]
async fn a_response_may_have_as_many_bytes_as_the_operator_allows() {
    let base = server::start().await;
    for (bytes, fits) in [(999, true), (1000, true), (1001, false)] {
        let result = http(json!({ "url": format!("{base}/bytes/{bytes}") })).await;
        assert_eq!(result.is_ok(), fits, "{bytes}");
        if let Err(failure) = result {
            assert_eq!(
                (failure.code, failure.advice),
                (ErrorCode::OutputTooLarge, RetryAdvice::Permanent)
            );
        }
    }
}

#[tokio::test]
async fn a_step_may_lower_the_limit_of_its_response_but_not_raise_it() {
    let base = server::start().await;
    for (limit, bytes, code) in [
        (10, 10, None),
        (10, 11, Some(ErrorCode::OutputTooLarge)),
        (1000, 1000, None),
        (1001, 1, Some(ErrorCode::ConfigInvalid)),
    ] {
        let config = json!({ "url": format!("{base}/bytes/{bytes}"), "maxResponseBytes": limit });
        assert_eq!(http(config).await.err().map(|failure| failure.code), code, "{limit} {bytes}");
    }
}

async fn is_refused(config: Value) -> bool {
    match http(config).await {
        Ok(_) => false,
        Err(failure) => {
            assert_eq!(
                (failure.code, failure.advice),
                (ErrorCode::ConfigInvalid, RetryAdvice::Permanent),
                "{failure}"
            );
            true
        }
    }
}

#[tokio::test]
async fn a_request_has_at_most_64_headers_of_the_steps_own() {
    let base = server::start().await;
    for (count, refused) in [(63, false), (64, false), (65, true)] {
        let headers: Map<String, Value> =
            (0..count).map(|number| (format!("x-{number}"), "v".into())).collect();
        let config = json!({ "url": format!("{base}/status/200"), "headers": headers });
        assert_eq!(is_refused(config).await, refused, "{count}");
    }
}

#[tokio::test]
async fn a_requests_headers_have_at_most_32_kib() {
    let base = server::start().await;
    for (bytes, refused) in [(32 * 1024 - 1, false), (32 * 1024, false), (32 * 1024 + 1, true)] {
        // The name counts as well.
        let config = json!({ "url": format!("{base}/status/200"), "headers": { "x": "v".repeat(bytes - 1) } });
        assert_eq!(is_refused(config).await, refused, "{bytes}");
    }
}

#[tokio::test]
async fn a_url_has_at_most_8_kib_with_its_query() {
    let base = server::start().await;
    let path = format!("{base}/status/200");
    for (bytes, refused) in [(8 * 1024 - 1, false), (8 * 1024, false), (8 * 1024 + 1, true)] {
        let value = "v".repeat(bytes - path.len() - "?q=".len());
        assert_eq!(
            is_refused(json!({ "url": path, "query": { "q": value } })).await,
            refused,
            "{bytes}"
        );
    }
}

#[tokio::test]
async fn at_most_ten_redirects_can_be_asked_for() {
    let base = server::start().await;
    for (redirects, refused) in [(9, false), (10, false), (11, true)] {
        let config = json!({ "url": format!("{base}/status/200"), "maxRedirects": redirects });
        assert_eq!(is_refused(config).await, refused, "{redirects}");
    }
}
