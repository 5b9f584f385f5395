//! Every cap: just under, at, over; and the deadline.

use std::time::Duration;

use bytes::Bytes;
use engine::failure::{ErrorCode, Failure};
use http::Request;
use stateflow_egress::{Caps, EgressError, Grant, How, Meter, Private};
use tokio::time::Instant;

use crate::{egress, get, get_request, how, loopback, server};

fn capped(caps: Caps) -> Grant {
    Grant::any_host(Private::loopback(), caps)
}

#[tokio::test]
async fn a_responses_body_has_as_many_bytes_as_the_lower_of_two_caps() {
    let server = server::start().await;
    for (cap, asked) in [(1000, u64::MAX), (u64::MAX, 1000)] {
        let grant = capped(Caps { response_bytes: cap, ..Caps::default() });
        for (bytes, fits) in [(999, true), (1000, true), (1001, false)] {
            let how = How { max_response_bytes: asked, ..how(&grant) };
            let request = get_request(&server.url(&format!("/bytes/{bytes}")));
            let mut response = egress().send("t", &grant, request, how).await.unwrap();
            let read = response.read().await;
            assert_eq!(read.is_ok(), fits, "{bytes}");
            if let Err(error) = read {
                assert_eq!(Failure::from(error).code, ErrorCode::OutputTooLarge);
            }
        }
    }
}

#[tokio::test]
async fn a_bodys_beginning_is_cut_and_says_so() {
    let server = server::start().await;
    for (bytes, truncated) in [(99, false), (100, false), (101, true), (50_000, true)] {
        let url = server.url(&format!("/bytes/{bytes}"));
        let mut response = get(&egress(), &loopback(), &url).await.unwrap();
        let (body, cut) = response.read_beginning(100).await;
        assert_eq!((body.len(), cut), (bytes.min(100), truncated));
    }
}

#[tokio::test]
async fn a_responses_headers_have_as_many_bytes_as_the_cap() {
    let server = server::start().await;
    let grant = capped(Caps { header_bytes: 2000, ..Caps::default() });
    for (bytes, fits) in [(1999, true), (2000, true), (2001, false)] {
        let answer = get(&egress(), &grant, &server.url(&format!("/header/{bytes}"))).await;
        assert_eq!(answer.is_ok(), fits, "{bytes}");
    }
    // More than the client itself holds.
    let error = get(&egress(), &grant, &server.url("/header/1000000")).await.unwrap_err();
    assert_eq!(Failure::from(error).code, ErrorCode::OutputTooLarge);
}

#[tokio::test]
async fn a_request_has_as_many_bytes_of_headers_and_body_as_the_caps() {
    let server = server::start().await;
    let grant = capped(Caps { header_bytes: 100, request_bytes: 100, ..Caps::default() });
    let loose = capped(Caps { header_bytes: 10_000, request_bytes: 100, ..Caps::default() });
    for (bytes, fits) in [(99, true), (100, true), (101, false)] {
        let body = Request::post(server.url("/bytes/0")).body(Bytes::from(vec![b'x'; bytes]));
        let sent = egress().send("t", &loose, body.unwrap(), how(&loose)).await;
        assert_eq!(!matches!(sent, Err(EgressError::TooLarge { .. })), fits, "{bytes}");
        let headers = Request::get("http://127.0.0.1:1/").header("x", "v".repeat(bytes - 1));
        let sent =
            egress().send("t", &grant, headers.body(Bytes::new()).unwrap(), how(&grant)).await;
        // Nobody listens there: what may be sent fails to connect.
        assert_eq!(matches!(sent, Err(EgressError::Connect { .. })), fits, "{bytes}: {sent:?}");
    }
}

#[tokio::test]
async fn an_attempt_makes_as_many_requests_as_the_cap_and_redirects_count() {
    let server = server::start().await;
    for (cap, fits) in [(4, true), (3, true), (2, false)] {
        let grant = capped(Caps { requests: cap, ..Caps::default() });
        let (egress, meter) = (egress(), Meter::new(grant.caps()));
        let how = |redirects| How { redirects, meter: meter.clone(), ..how(&grant) };
        let first = egress.send("t", &grant, get_request(&server.url("/echo")), how(0)).await;
        assert_eq!(first.unwrap().status, 200);
        let url = server.url("/to/302?/echo");
        let second = egress.send("t", &grant, get_request(&url), how(1)).await;
        match second {
            Ok(response) => assert!(fits && response.status == 200, "{cap}"),
            Err(error) => assert_eq!((fits, error), (false, EgressError::TooMany { limit: 2 })),
        }
    }
}

#[tokio::test]
async fn one_request_more_than_may_be_under_way_waits_for_its_turn() {
    let server = server::start().await;
    let grant = capped(Caps { at_once: 2, ..Caps::default() });
    let (egress, meter) = (egress(), Meter::new(grant.caps()));
    let send = |patience: Duration| {
        let how = How { meter: meter.clone(), ..How::until(Instant::now() + patience, &grant) };
        egress.send("t", &grant, get_request(&server.url("/echo")), how)
    };
    let long = Duration::from_secs(20);
    let (first, _second) = (send(long).await.unwrap(), send(long).await.unwrap());
    let third = send(Duration::from_millis(50)).await;
    assert!(matches!(third, Err(EgressError::Timeout { .. })), "{third:?}");
    drop(first);
    assert_eq!(send(long).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_server_that_feeds_byte_by_byte_is_cut_off_at_the_deadline() {
    let server = server::dripping().await;
    let grant = loopback();
    let began = Instant::now();
    // Long enough for the response to begin on a busy machine; the body would never end.
    let patience = Duration::from_secs(2);
    let how = How::until(began + patience, &grant);
    let mut response =
        egress().send("t", &grant, get_request(&server.url("/")), how).await.unwrap();
    let error = response.read().await.unwrap_err();
    assert_eq!(Failure::from(error).code, ErrorCode::Timeout);
    assert!(began.elapsed() >= patience);
    assert!(response.receipt.received_bytes > 0);
}

#[tokio::test]
async fn a_server_that_never_answers_is_cut_off_at_the_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/?hush", listener.local_addr().unwrap());
    let grant = loopback();
    let how = How::until(Instant::now() + Duration::from_millis(50), &grant);
    let failure =
        Failure::from(egress().send("t", &grant, get_request(&url), how).await.unwrap_err());
    assert_eq!(failure.code, ErrorCode::Timeout);
    assert!(!failure.message.contains("hush"), "{}", failure.message);
}
