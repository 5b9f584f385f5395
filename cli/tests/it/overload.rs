//! A database that is slow or nearly full: callers who do as they are told get everything done, once.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use testing::private_postgres;
use tokio::task::JoinSet;
use tokio::time::interval;

use crate::ledger::Ledger;
use crate::processes::ServerProcess;
use crate::workbench::Workbench;

/// What the process may hold. Its callers hand it 300 MB at once, which it would hold several times over.
const MOST_BYTES: u64 = 300 << 20;

/// Starts with these inputs, all callers at once; each comes back as often and as late as it is told.
async fn start_all(url: &str, callers: usize, input: &str) {
    let client = Client::new();
    let mut starting = JoinSet::new();
    for n in 0..callers {
        let body = json!({ "input": { "data": input }, "idempotencyKey": n.to_string() });
        let path = format!("{url}/api/workflows/enter/execute");
        starting.spawn(start(client.clone(), path, body));
    }
    let ids: HashSet<_> = starting.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), callers);
}

async fn start(client: Client, path: String, body: Value) -> String {
    let mut again = interval(Duration::from_secs(1));
    loop {
        again.tick().await;
        let response = client.post(&path).json(&body).send().await.unwrap();
        if response.status() == StatusCode::ACCEPTED {
            let answer: Value = response.json().await.unwrap();
            return answer["id"].as_str().unwrap().to_owned();
        }
        assert_eq!(response.headers()["retry-after"], "1");
        let (status, problem) = (response.status(), response.text().await.unwrap());
        let passes = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        assert!(passes.contains(&status), "{status}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_fills_nobody_s_memory() {
    const CALLERS: usize = 300;
    let postgres = private_postgres().await;
    let ledger = Ledger::open().await;
    let bench = Workbench::new(postgres.url(), &ledger.url).await;
    let throttle = postgres.throttle();
    let server = ServerProcess::start(&bench.url, bench.data.path());
    start_all(&server.url, CALLERS, &"x".repeat(1_000_000)).await;
    let peak = server.peak_bytes();
    assert!(peak < MOST_BYTES, "{} MiB", peak >> 20);
    drop(throttle);
    bench.reach("succeeded", CALLERS).await;
    ledger.each_once(CALLERS);
    bench.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_connections_are_enough() {
    const CALLERS: usize = 300;
    let postgres = private_postgres().await;
    let ledger = Ledger::open().await;
    let bench = Workbench::new(postgres.url(), &ledger.url).await;
    let taken = postgres.leave_connections(5).await;
    // It would take eleven.
    let server = ServerProcess::start(&bench.url, bench.data.path());
    start_all(&server.url, CALLERS, "x").await;
    bench.reach("succeeded", CALLERS).await;
    ledger.each_once(CALLERS);
    drop(taken);
    bench.store.close().await;
}
