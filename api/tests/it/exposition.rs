//! The metrics endpoint as a scraper reads it: the Prometheus text format, line by line.

use std::collections::{BTreeMap, HashSet};

use reqwest::Method;
use serde_json::json;

use crate::server::Server;

/// What a scraper makes of the text: samples by name and labels, and each family's type.
struct Exposition {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Exposition {
    /// Panics where a scraper would give up.
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has to end");
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = HashSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                let known = types.insert(name.to_owned(), kind.to_owned());
                assert!(known.is_none(), "{line} stands twice");
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                assert!(helped.insert(rest.split(' ').next().unwrap()), "{line} stands twice");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(family(series, &types).is_some(), "{line} has no type before it");
                let known = samples.insert(series.to_owned(), value.parse().unwrap());
                assert!(known.is_none(), "{line} stands twice");
            }
        }
        Self { samples, types }
    }

    fn value(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }
}

/// The family that a series belongs to: a histogram's series have suffixes.
fn family<'a>(series: &'a str, types: &BTreeMap<String, String>) -> Option<&'a str> {
    let name = series.split('{').next()?;
    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|it| name.strip_suffix(it));
    let histogram = stem.filter(|it| types.get(*it).is_some_and(|kind| kind == "histogram"));
    histogram.or_else(|| types.contains_key(name).then_some(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scraper_reads_every_line_and_finds_what_happened() {
    let server = Server::working().await;
    let step = |of: &str, config| json!([{ "id": "a", "type": of, "config": config }]);
    server.publish("good", step("log", json!({ "message": "hi" }))).await;
    server.publish("bad", step("http", json!({ "url": "http://127.0.0.1:1/" }))).await;
    server.run("good", json!({})).await;
    server.run("bad", json!({})).await;
    // An end is announced a moment before it is counted.
    server
        .until_text(
            "/api/metrics/prometheus",
            &[
                r#"stateflow_executions_finished_total{status="succeeded"} 1"#,
                r#"stateflow_executions_finished_total{status="failed"} 1"#,
                "stateflow_executions_driven 0",
            ],
        )
        .await;
    let answer = server.request(Method::GET, "/api/metrics/prometheus").send().await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let metrics = Exposition::parse(&answer.text().await.unwrap());
    let started = r#"{method="POST",route="/api/workflows/{workflow}/execute",status="200"}"#;
    for (series, value) in [
        (r#"stateflow_attempts_finished_total{code="",step_type="log"}"#, 1.0),
        (r#"stateflow_attempts_finished_total{code="HTTP_CONNECT",step_type="http"}"#, 1.0),
        ("stateflow_executions_claimed_total", 2.0),
        ("stateflow_transitions_refused_total", 0.0),
        ("stateflow_leases_expired_total", 0.0),
        ("stateflow_queue_depth", 0.0),
        (&format!("stateflow_http_request_duration_seconds_count{started}"), 2.0),
    ] {
        assert_eq!(metrics.value(series), Some(value), "{series}: {:?}", metrics.samples);
    }
    for (name, kind) in &metrics.types {
        assert!(name.starts_with("stateflow_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_queue_is_counted_without_a_worker() {
    let server = Server::start().await;
    server.publish("w", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }])).await;
    server.begin("w", json!({})).await;
    server.begin("w", json!({})).await;
    server.begin("w", json!({ "delayMs": 3_600_000 })).await;
    let metrics = Exposition::parse(&server.text("/api/metrics/prometheus").await);
    assert_eq!(metrics.value("stateflow_queue_depth"), Some(2.0), "what is not due does not count");
    assert!(metrics.value("stateflow_queue_oldest_seconds").is_some());
    server.stop().await;
}
