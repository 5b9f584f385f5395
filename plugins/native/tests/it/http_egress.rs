//! What a step may call, and for how long.

use std::time::{Duration, Instant};

use egress::Private;
use engine::failure::{ErrorCode, RetryAdvice};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{attempt, http, no_secrets, server, soon, steps, steps_with};

#[tokio::test]
async fn private_addresses_are_denied_unless_the_operator_opened_them() {
    let base = server::start().await;
    let config = json!({ "url": format!("{base}/echo?token=hush") });
    let closed = steps_with(Private::default());
    let report =
        closed.get("http").unwrap().run(&attempt(), soon(), config.clone(), no_secrets()).await;
    let failure = report.outcome.failure().unwrap().clone();
    assert_eq!(
        (failure.code, failure.advice),
        (ErrorCode::EgressDenied, RetryAdvice::Permanent),
        "{failure}"
    );
    assert!(!format!("{failure:?}").contains("hush"), "{failure:?}");
    let details = failure.details.unwrap();
    assert_eq!((&details["class"], &details["cidr"]), (&json!("loopback"), &json!("127.0.0.1/32")));

    let opened = steps_with(Private::new(["127.0.0.1/32".parse().unwrap()]).unwrap());
    let report = opened.get("http").unwrap().run(&attempt(), soon(), config, no_secrets()).await;
    assert_eq!(report.outcome.output().unwrap()["status"], 200);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_denied() {
    let base = server::start().await;
    let url = format!("{base}/redirect-away?http://169.254.169.254/latest/meta-data/");
    let failure = http(json!({ "url": url })).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::EgressDenied);
}

#[tokio::test]
async fn credentials_in_a_url_and_a_host_of_the_steps_own_are_refused() {
    let base = server::start().await;
    let with_user = base.replace("http://", "http://user:hush@");
    for config in [
        json!({ "url": with_user }),
        json!({ "url": base, "headers": { "Host": "internal.example" } }),
    ] {
        let failure = http(config).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::ConfigInvalid);
        assert!(!failure.message.contains("hush"), "{failure}");
    }
}

#[tokio::test]
async fn a_request_does_not_outlast_its_attempt() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = json!({ "url": format!("http://{}/", silent.local_addr().unwrap()) });
    let deadline = Instant::now() + Duration::from_millis(50);
    let report = steps().get("http").unwrap().run(&attempt(), deadline, config, no_secrets()).await;
    assert_eq!(report.outcome.failure().unwrap().clone().code, ErrorCode::Timeout);
}
