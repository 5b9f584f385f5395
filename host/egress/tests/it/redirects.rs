//! Each hop is a request of its own to the policy.

use bytes::Bytes;
use engine::failure::{ErrorCode, Failure};
use http::Request;
use stateflow_egress::{Caps, EgressError, Grant, How, Party, Private, Response};

use crate::{egress, egress_with, get, get_request, how, loopback, opened, server, text};

fn following(redirects: u8, grant: &Grant) -> How {
    How { redirects, ..how(grant) }
}

async fn follow(grant: &Grant, request: Request<Bytes>) -> Result<Response, EgressError> {
    egress().send("tenant", grant, request, following(5, grant)).await
}

#[tokio::test]
async fn a_redirect_is_not_followed_unless_that_was_asked_for() {
    let server = server::start().await;
    let grant = loopback();
    let url = server.url("/to/302?/to/302?/echo");
    for (redirects, status, requests) in [(0, 302, 1), (1, 302, 2), (2, 200, 3), (3, 200, 3)] {
        let how = following(redirects, &grant);
        let response = egress().send("t", &grant, get_request(&url), how).await.unwrap();
        assert_eq!((response.status.as_u16(), response.receipt.requests), (status, requests));
    }
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_denied() {
    let (first, second) = (server::start_at("127.0.0.2:0").await, server::start().await);
    let grant = opened(&["127.0.0.2/32"]);
    for to in [
        second.url("/echo"),
        format!("http://2130706433:{}/", second.port()),
        format!("//[::ffff:127.0.0.1]:{}/", second.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
    ] {
        let request = get_request(&first.url(&format!("/to/307?{to}")));
        let failure = Failure::from(follow(&grant, request).await.unwrap_err());
        assert_eq!(failure.code, ErrorCode::EgressDenied, "{to}");
    }
    assert_eq!(second.connections(), 0);
    // A name too, whose answer is judged when it is resolved.
    let (egress, _) = egress_with(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let url =
        format!("http://a.example:{}/to/302?http://b.example:{}/", first.port(), second.port());
    let sent = egress.send("t", &grant, get_request(&url), following(1, &grant)).await;
    assert_eq!(Failure::from(sent.unwrap_err()).code, ErrorCode::EgressDenied);
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_judged_by_the_rules_too() {
    let server = server::start().await;
    let rules = ["http://127.0.0.1:*/to", "GET http://127.0.0.1:*/v1"];
    let party = Party {
        name: "the step".into(),
        rules: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
    };
    let grant = Grant::new(vec![party], Private::loopback(), Caps::default()).unwrap();
    for (to, allowed) in [("/v1/x", true), ("/v2", false), ("/v1/..%2fv2", false)] {
        let request = get_request(&server.url(&format!("/to/302?{to}")));
        assert_eq!(follow(&grant, request).await.is_ok(), allowed, "{to}");
    }
    let request = Request::put(server.url("/to/307?/v1/x")).body(Bytes::new()).unwrap();
    assert!(follow(&grant, request).await.is_err());
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_the_answer() {
    let server = server::start().await;
    for to in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:6379/_x",
        "http://user:password@127.0.0.1/",
        "http://",
        "http://127.0.0.1:0/",
    ] {
        let request = get_request(&server.url(&format!("/to/302?{to}")));
        let response = follow(&loopback(), request).await.unwrap();
        assert_eq!(response.status, 302, "{to}");
        assert_eq!(response.headers["location"], to);
    }
}

#[tokio::test]
async fn method_and_body_change_as_in_browsers() {
    let server = server::start().await;
    for (status, method, after) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (302, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "PATCH", "PATCH"),
        (302, "GET", "GET"),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(server.url(&format!("/to/{status}?/echo")))
            .header("content-type", "text/plain")
            .body(Bytes::from_static(b"the body"))
            .unwrap();
        let seen = text(follow(&loopback(), request).await.unwrap()).await;
        let kept = method == after;
        assert!(seen.starts_with(&format!("{after} /echo")), "{status} {method}: {seen}");
        assert_eq!(seen.contains("the body"), kept, "{status} {method}: {seen}");
        assert_eq!(seen.contains("content-type"), kept, "{status} {method}: {seen}");
    }
}

#[tokio::test]
async fn credentials_stay_at_the_origin_that_they_were_meant_for() {
    let (first, second) = (server::start().await, server::start().await);
    for (to, kept) in [(first.url("/echo"), true), (second.url("/echo"), false)] {
        let request = Request::get(first.url(&format!("/to/307?{to}")))
            .header("authorization", "Bearer mine")
            .header("cookie", "mine=1")
            .header("proxy-authorization", "mine")
            .header("x-other", "other")
            .body(Bytes::new())
            .unwrap();
        let seen = text(follow(&loopback(), request).await.unwrap()).await;
        assert_eq!(seen.matches("mine").count(), if kept { 3 } else { 0 }, "{seen}");
        assert!(seen.contains("x-other: other"));
    }
}

#[tokio::test]
async fn a_receipt_says_who_answered_by_which_rule_and_how_much_moved() {
    let server = server::start().await;
    let grant = loopback();
    let mut response = get(&egress(), &grant, &server.url("/bytes/100")).await.unwrap();
    let headers = response.receipt.received_bytes;
    response.read().await.unwrap();
    let receipt = response.receipt;
    assert_eq!(
        (receipt.host.as_str(), receipt.port, receipt.status),
        ("127.0.0.1", server.port(), 200)
    );
    assert_eq!(receipt.rules, ["*://*:*"]);
    assert_eq!(receipt.received_bytes, headers + 100);
}
