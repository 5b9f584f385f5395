//! What the other side is told of the trace.

use engine::trace::TraceParent;
use http::Request;
use stateflow_egress::How;

use crate::{egress, get_request, how, loopback, server, text};

#[tokio::test]
async fn the_other_side_is_told_where_it_is_unless_the_request_says_something_else() {
    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (server, grant) = (server::start().await, loopback());
    let place: TraceParent = GIVEN.parse().unwrap();
    let seen = async |request, trace| {
        let how = How { redirects: 1, trace, ..how(&grant) };
        text(egress().send("t", &grant, request, how).await.unwrap()).await
    };
    // At every hop.
    for path in ["/echo", "/to/302?/echo"] {
        let told = seen(get_request(&server.url(path)), Some(place)).await;
        assert!(told.contains(&format!("traceparent: {GIVEN}")), "{told}");
    }
    let mut own: Request<_> = get_request(&server.url("/echo"));
    own.headers_mut().insert("traceparent", "own".parse().unwrap());
    let told = seen(own, Some(place)).await;
    assert!(told.contains("traceparent: own") && !told.contains(GIVEN), "{told}");
    let told = seen(get_request(&server.url("/echo")), None).await;
    assert!(!told.contains("traceparent"), "{told}");
}
