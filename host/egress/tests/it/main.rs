//! The way out against real servers on this machine, with names that resolve as the tests say.

#![expect(
    clippy::unwrap_used,
    reason = "a test's server and its requests may panic like the tests themselves"
)]

mod limits;
mod pool;
mod redirects;
mod secrets;
mod server;
mod ssrf;
mod traces;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use stateflow_egress::{
    Caps, Egress, EgressError, EgressSettings, Grant, How, Private, Resolver, Response,
};
use tokio::time::Instant;

/// Gives one answer after the other, then none.
#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
}

#[async_trait]
impl Resolver for Script {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let next = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{host} is unknown")))
    }
}

impl Script {
    fn left(&self) -> usize {
        self.answers.lock().unwrap().len()
    }
}

fn egress() -> Egress {
    Egress::new(EgressSettings::default()).unwrap()
}

/// An egress whose names resolve to these, one answer for each time that it asks.
fn egress_with(answers: &[&[&str]]) -> (Egress, Arc<Script>) {
    let read = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
    let script = Arc::new(Script { answers: Mutex::new(answers.iter().map(read).collect()) });
    (Egress::with_resolver(EgressSettings::default(), script.clone()).unwrap(), script)
}

/// Any host on this machine.
fn loopback() -> Grant {
    Grant::any_host(Private::loopback(), Caps::default())
}

/// Any public host, and these ranges.
fn opened(ranges: &[&str]) -> Grant {
    let ranges = ranges.iter().map(|range| range.parse().unwrap());
    Grant::any_host(Private::new(ranges).unwrap(), Caps::default())
}

fn how(grant: &Grant) -> How {
    How::until(Instant::now() + Duration::from_secs(20), grant)
}

fn get_request(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

async fn get(egress: &Egress, grant: &Grant, url: &str) -> Result<Response, EgressError> {
    egress.send("tenant", grant, get_request(url), how(grant)).await
}

async fn text(mut response: Response) -> String {
    String::from_utf8(response.read().await.unwrap()).unwrap()
}
