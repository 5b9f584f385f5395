//! Requests through `wasi:http/outgoing-handler`, by a plugin that was built against WASI and nothing else: the same
//! grants, the same receipts, the same caps.

use std::collections::BTreeMap;
use std::time::Duration;

use egress::Caps;
use engine::failure::ErrorCode;
use serde_json::json;
use stateflow_sandbox::{
    CallLimits, PluginCall, PluginReport, Prepared, Reach, RequestOutcome, Sandbox,
};
use tokio::net::TcpListener;

use crate::bench::{LIMITS, admit, call_of, code, failure, output, sandbox};
use crate::requests::{ELSEWHERE, OK, reach, reach_within, serve};

struct Fetching {
    sandbox: Sandbox,
    prepared: Prepared,
}

impl Fetching {
    async fn new() -> Self {
        let sandbox = sandbox();
        let prepared = admit(&sandbox, &testing::guests::example("fetch")).await.prepared;
        Self { sandbox, prepared }
    }

    async fn fetch(&self, authority: &str, reach: Option<Reach>) -> PluginReport {
        self.fetch_within(authority, reach, LIMITS).await
    }

    async fn fetch_within(
        &self,
        authority: &str,
        reach: Option<Reach>,
        limits: CallLimits,
    ) -> PluginReport {
        let config = json!({ "authority": authority, "plain": true });
        let call = PluginCall { reach, ..call_of(config, limits) };
        self.sandbox.call(&self.prepared, call).await
    }
}

/// What the guest was told.
fn told(report: &PluginReport) -> &str {
    assert_eq!(failure(report).code, ErrorCode::PluginError, "{:?}", report.report);
    &failure(report).message
}

fn counted(report: &PluginReport) -> Vec<(&str, RequestOutcome, u64)> {
    let counts: &BTreeMap<_, _> = &report.requests;
    counts.iter().map(|((host, outcome), count)| (host.as_str(), *outcome, *count)).collect()
}

#[tokio::test]
async fn wasi_requests_are_answered_where_they_are_granted_and_nowhere_else() {
    let port = serve(OK).await;
    let (authority, rule) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let fetching = Fetching::new().await;
    let report = fetching.fetch(&authority, Some(reach(&[&rule]))).await;
    assert_eq!(output(&report), &json!({ "status": 200, "body": "hi" }));
    let receipt = &report.report.logs[0].fields["egress"];
    assert_eq!((&receipt["status"], &receipt["port"]), (&json!(200), &json!(port)));
    assert_eq!(counted(&report), [("127.0.0.1", RequestOutcome::Answered, 1)]);

    // The same address in other words.
    let report = fetching.fetch(&format!("127.1:{port}"), Some(reach(&[&rule]))).await;
    assert_eq!(output(&report)["status"], 200);

    for reach in [None, Some(reach(&[])), Some(reach(&["https://127.0.0.1"]))] {
        let report = fetching.fetch(&authority, reach).await;
        assert!(told(&report).contains("HttpRequestDenied"), "{:?}", report.report);
        let line = &report.report.logs[0];
        assert!(line.message.contains(&rule), "{}", line.message);
        assert_eq!(counted(&report), [("", RequestOutcome::Denied, 1)]);
    }
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "10.0.0.1"]
    {
        let report = fetching.fetch(host, Some(reach(&["*://*:*"]))).await;
        assert!(told(&report).contains("HttpRequestDenied"), "{host}: {:?}", report.report);
    }
}

#[tokio::test]
async fn a_redirect_of_a_wasi_request_is_an_answer() {
    let port = serve(ELSEWHERE).await;
    let fetching = Fetching::new().await;
    let report = fetching.fetch(&format!("127.0.0.1:{port}"), Some(reach(&["*://*:*"]))).await;
    assert_eq!(output(&report)["status"], 302);
    assert_eq!(report.report.logs.len(), 1, "one request, one receipt");
}

#[tokio::test]
async fn what_comes_back_to_a_wasi_request_has_a_cap() {
    let authority = format!("127.0.0.1:{}", serve(OK).await);
    let fetching = Fetching::new().await;
    let capped = |response_bytes| {
        Some(reach_within(&["*://*:*"], Caps { response_bytes, ..Caps::default() }))
    };
    for enough in [3, 2] {
        let report = fetching.fetch(&authority, capped(enough)).await;
        assert_eq!(output(&report)["body"], "hi", "{enough}");
    }
    let report = fetching.fetch(&authority, capped(1)).await;
    assert!(told(&report).contains("HttpResponseBodySize"), "{:?}", report.report);
    assert_eq!(counted(&report), [("127.0.0.1", RequestOutcome::Failed, 1)]);
}

#[tokio::test]
async fn a_wasi_request_ends_with_its_attempt() {
    // Whoever connects waits in vain.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = silent.local_addr().unwrap().to_string();
    let limits = CallLimits { timeout: Duration::from_millis(300), ..LIMITS };
    let reach = Some(reach(&["*://*:*"]));
    let report = Fetching::new().await.fetch_within(&authority, reach, limits).await;
    assert_eq!(code(&report), Some(ErrorCode::Timeout), "{:?}", report.report);
    // It may have arrived, so it is on record, once: by the way out or by the end of the attempt, whichever heard first
    // that the time was up.
    let told = &report.report.logs[0].message;
    let either = [
        "GET: 127.0.0.1 did not answer in time",
        "GET 127.0.0.1 was given up before there was an answer",
    ];
    assert!(either.contains(&told.as_str()), "{told}");
    assert_eq!(counted(&report), [("127.0.0.1", RequestOutcome::Failed, 1)]);
}
