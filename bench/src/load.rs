//! The load: so many requests in flight, each on a connection of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::http::Connection;

/// Executions of one call to the batch endpoint, and its bytes: the endpoint takes up to 32 MiB.
const BATCH: u64 = 1_000;
const BATCH_BYTES: u64 = 16 << 20;
/// The longest wait of a call that asks for its result, in milliseconds.
const CALL_LIMIT_MS: u64 = 60_000;

/// A client of one API server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) host: String,
    pub(crate) in_flight: u64,
}

impl Load {
    /// Publishes a workflow.
    pub(crate) async fn publish(&self, definition: &Value) -> Result<()> {
        let mut connection = Connection::open(&self.host).await?;
        connection.post("/api/workflows", definition.to_string().into()).await.map(drop)
    }

    /// Uploads a plugin that carries its name.
    pub(crate) async fn upload(&self, wasm: Vec<u8>) -> Result<()> {
        let mut connection = Connection::open(&self.host).await?;
        let (status, answer) = connection
            .request(Method::POST, "/api/plugins", "application/wasm", wasm.into())
            .await?;
        if !status.is_success() {
            bail!("the plugin was refused: {}", String::from_utf8_lossy(&answer));
        }
        Ok(())
    }

    /// Starts executions one by one. Returns how long each call took, in milliseconds.
    pub(crate) async fn submit(&self, workflow: &str, input: &Value, n: u64) -> Result<Vec<f64>> {
        let path = format!("/api/workflows/{workflow}/execute");
        let body = json!({ "input": input }).to_string();
        self.repeat(path, body.into(), n, |_| Ok(())).await
    }

    /// Sends an event so many times. Returns how long each call took, in milliseconds.
    pub(crate) async fn send_events(&self, event: &Value, n: u64) -> Result<Vec<f64>> {
        self.repeat("/api/events".to_owned(), event.to_string().into(), n, |_| Ok(())).await
    }

    /// Starts executions in batches.
    pub(crate) async fn submit_batches(
        &self,
        workflow: &str,
        input: &Value,
        n: u64,
        at_once: u64,
    ) -> Result<()> {
        let path = format!("/api/workflows/{workflow}/execute/batch");
        let one = json!({ "input": input });
        let size = (BATCH_BYTES / one.to_string().len() as u64).clamp(1, BATCH);
        let body = |size: u64| {
            let all: Vec<_> = (0..size).map(|_| &one).collect();
            Bytes::from(json!({ "executions": all }).to_string())
        };
        let batches = Self { in_flight: at_once, ..self.clone() };
        batches.repeat(path.clone(), body(size), n / size, |_| Ok(())).await?;
        if !n.is_multiple_of(size) {
            batches.repeat(path, body(n % size), 1, |_| Ok(())).await?;
        }
        Ok(())
    }

    /// Starts executions and waits for the result of each. Returns how long each call took, in milliseconds.
    pub(crate) async fn call(&self, workflow: &str, input: &Value, n: u64) -> Result<Vec<f64>> {
        let path = format!("/api/workflows/{workflow}/execute?wait={CALL_LIMIT_MS}");
        let body = json!({ "input": input }).to_string();
        self.repeat(path, body.into(), n, |answer| {
            let answer: Value = serde_json::from_slice(answer)?;
            let status = answer["status"].as_str().unwrap_or_default();
            if status != "succeeded" {
                bail!("an execution ended as `{status}`: {answer}");
            }
            Ok(())
        })
        .await
    }

    /// Calls on a beat until an instant, and keeps the times from when each call was due: a call that comes late because
    /// the one before was slow counts its wait. Returns how many calls there were.
    pub(crate) async fn call_steadily(
        &self,
        workflow: &str,
        (first, beat): (tokio::time::Instant, Duration),
        until: Instant,
        times: &Mutex<Vec<f64>>,
    ) -> Result<u64> {
        let path = format!("/api/workflows/{workflow}/execute?wait={CALL_LIMIT_MS}");
        let body = Bytes::from(json!({ "input": { "n": 1 } }).to_string());
        let mut connection = Connection::open(&self.host).await?;
        let mut beats = tokio::time::interval_at(first, beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut calls = 0;
        loop {
            let due = beats.tick().await;
            if due.into_std() >= until {
                return Ok(calls);
            }
            post_patiently(&mut connection, &path, &body).await?;
            calls += 1;
            let took = due.elapsed().as_secs_f64() * 1_000.0;
            times.lock().expect("no holder panics").push(took);
        }
    }

    /// Pages through the list of executions that have succeeded, and returns how many there are.
    pub(crate) async fn count_succeeded(&self) -> Result<i64> {
        let mut connection = Connection::open(&self.host).await?;
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let path = format!("/api/executions?status=succeeded&limit=200{cursor}");
            let page = connection.get(&path).await?;
            let items = page["items"].as_array().context("a page has no items")?;
            count += i64::try_from(items.len())?;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(count),
            }
        }
    }

    /// Repeats a request until `n` are done, so many in flight.
    async fn repeat(
        &self,
        path: String,
        body: Bytes,
        n: u64,
        check: fn(&[u8]) -> Result<()>,
    ) -> Result<Vec<f64>> {
        let begun = Arc::new(AtomicU64::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..self.in_flight.min(n) {
            let mut connection = Connection::open(&self.host).await?;
            let (path, body, begun) = (path.clone(), body.clone(), Arc::clone(&begun));
            senders.spawn(async move {
                let mut times = Vec::new();
                while begun.fetch_add(1, Ordering::Relaxed) < n {
                    let sent = Instant::now();
                    let answer = post_patiently(&mut connection, &path, &body).await?;
                    times.push(sent.elapsed().as_secs_f64() * 1_000.0);
                    check(&answer)?;
                }
                anyhow::Ok(times)
            });
        }
        let mut times = Vec::new();
        while let Some(sender) = senders.join_next().await {
            times.extend(sender??);
        }
        Ok(times)
    }
}

/// Posts; when the server says that it is busy, waits for as long as it says.
async fn post_patiently(connection: &mut Connection, path: &str, body: &Bytes) -> Result<Bytes> {
    loop {
        let (status, answer) =
            connection.request(Method::POST, path, "application/json", body.clone()).await?;
        match status.as_u16() {
            200..=299 => return Ok(answer),
            429 | 503 => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer)),
        }
    }
}
