//! Placeholders become secrets on the way out, for the right destinations, and come back as nothing.

use std::sync::Arc;

use bytes::Bytes;
use engine::failure::{ErrorCode, Failure};
use http::Request;
use stateflow_egress::{
    Caps, EgressError, Grant, How, Outlet, Party, Private, Response, SecretRefused, Secrets,
};

use crate::{egress, how, loopback, server, text};

const PLACEHOLDER: &str = "PLACEHOLDER";
const SECRET: &str = "a/b&c=d ?#%41";

/// One secret, for the servers on these ports.
struct Vault(Vec<u16>);

impl Secrets for Vault {
    fn swap(&self, bytes: &[u8], to: &Outlet<'_>) -> Result<Option<Vec<u8>>, SecretRefused> {
        let text = String::from_utf8_lossy(bytes);
        if !text.contains(PLACEHOLDER) {
            return Ok(None);
        }
        if !self.0.contains(&to.destination.port()) {
            return Err(SecretRefused { name: "api-key".into() });
        }
        Ok(Some(text.replace(PLACEHOLDER, SECRET).into_bytes()))
    }

    fn scrub(&self, bytes: Vec<u8>) -> Vec<u8> {
        String::from_utf8_lossy(&bytes).replace(SECRET, "[api-key]").into_bytes()
    }
}

async fn send(ports: Vec<u16>, request: Request<Bytes>) -> Result<Response, EgressError> {
    let grant = loopback();
    let how = How { redirects: 5, secrets: Arc::new(Vault(ports)), ..how(&grant) };
    egress().send("t", &grant, request, how).await
}

fn post(url: &str, body: &'static str) -> Request<Bytes> {
    let request = Request::post(url).header("x-key", PLACEHOLDER);
    request.body(Bytes::from_static(body.as_bytes())).unwrap()
}

#[tokio::test]
async fn a_secret_stands_in_headers_path_query_and_body_and_is_taken_out_of_what_comes_back() {
    let server = server::start().await;
    let url = server.url("/a/PLACEHOLDER/b?x=1+1&k=PLACEHOLDER&y=%26");
    let seen = text(send(vec![server.port()], post(&url, "<PLACEHOLDER>")).await.unwrap()).await;
    assert!(
        seen.starts_with(
            "POST /a/a%2Fb&c=d%20%3F%23%2541/b?x=1+1&k=a%2Fb%26c%3Dd+%3F%23%2541&y=%26\n"
        ),
        "{seen}"
    );
    assert!(seen.contains("x-key: [api-key]") && seen.ends_with("<[api-key]>"), "{seen}");
}

#[tokio::test]
async fn a_secret_does_not_go_where_it_may_not() {
    let server = server::start().await;
    let failure = Failure::from(send(vec![1], post(&server.url("/?hush"), "")).await.unwrap_err());
    assert_eq!(failure.code, ErrorCode::EgressDenied);
    assert!(failure.message.contains("`api-key`") && !failure.message.contains("hush"));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn headers_with_a_secret_stay_behind_at_another_origin_and_bodies_stop_the_redirect() {
    let (first, second) = (server::start().await, server::start().await);
    let both = vec![first.port(), second.port()];
    let away = first.url(&format!("/to/307?{}", second.url("/echo")));
    let seen = text(send(both.clone(), post(&away, "plain")).await.unwrap()).await;
    assert!(!seen.contains("x-key") && seen.ends_with("plain"), "{seen}");

    for ports in [both, vec![first.port()]] {
        let error = send(ports, post(&away, "PLACEHOLDER")).await.unwrap_err();
        assert_eq!(Failure::from(error).code, ErrorCode::EgressDenied);
    }
    // As a GET it has no body any more.
    let away = first.url(&format!("/to/303?{}", second.url("/echo")));
    let seen = text(send(vec![first.port()], post(&away, "PLACEHOLDER")).await.unwrap()).await;
    assert!(seen.starts_with("GET /echo\n") && !seen.contains("api-key"), "{seen}");
}

#[tokio::test]
async fn a_secret_in_the_path_does_not_lead_out_of_what_the_rules_allow() {
    let server = server::start().await;
    let party =
        Party { name: "the step".into(), rules: vec!["http://127.0.0.1:*/a".parse().unwrap()] };
    let grant = Grant::new(vec![party], Private::loopback(), Caps::default()).unwrap();
    let how = How { secrets: Arc::new(Vault(vec![server.port()])), ..how(&grant) };
    // The secret has a slash: below a prefix, nobody knows how the server reads it.
    let sent = egress().send("t", &grant, post(&server.url("/a/PLACEHOLDER"), ""), how).await;
    assert!(matches!(sent, Err(EgressError::Denied(_))), "{sent:?}");
    assert_eq!(server.connections(), 0);
}
