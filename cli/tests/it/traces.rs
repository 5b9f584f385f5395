//! Traces, as an OpenTelemetry collector gets them: while executions run, and in one tree with their callers and with the
//! services that they call.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Router, serve};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Known;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use store::{Schema, Store, StoreSettings};
use testing::TestDatabase;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::processes::ServerProcess;

/// A collector, and beside it two services: one that answers, and one that does so when it is told to.
struct Collector {
    url: String,
    seen: Arc<Seen>,
}

struct Seen {
    spans: watch::Sender<Vec<Span>>,
    authorized: Mutex<Vec<String>>,
    traceparents: Mutex<HashMap<&'static str, String>>,
    held: Notify,
}

impl Collector {
    async fn open() -> Self {
        let seen = Arc::new(Seen {
            spans: watch::channel(Vec::new()).0,
            authorized: Mutex::default(),
            traceparents: Mutex::default(),
            held: Notify::new(),
        });
        let router = Router::new()
            .route("/v1/traces", post(collect))
            .route(
                "/quick",
                get(async |State(seen): State<Arc<Seen>>, headers: HeaderMap| {
                    seen.called("quick", &headers);
                }),
            )
            .route(
                "/held",
                get(async |State(seen): State<Arc<Seen>>, headers: HeaderMap| {
                    seen.called("held", &headers);
                    seen.held.notified().await;
                    StatusCode::NOT_FOUND
                }),
            )
            .with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { serve(listener, router).await.unwrap() });
        Self { url, seen }
    }

    /// Waits until there is a span of this name.
    async fn span(&self, name: &str) -> Span {
        let mut spans = self.seen.spans.subscribe();
        let found = spans.wait_for(|spans| spans.iter().any(|it| it.name == name)).await.unwrap();
        found.iter().find(|it| it.name == name).unwrap().clone()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.seen.spans.borrow().iter().map(|it| it.name.clone()).collect();
        names.sort();
        names
    }
}

impl Seen {
    fn called(&self, service: &'static str, headers: &HeaderMap) {
        let place = headers["traceparent"].to_str().unwrap().to_owned();
        self.traceparents.lock().unwrap().insert(service, place);
    }
}

async fn collect(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) {
    let token = headers["authorization"].to_str().unwrap().to_owned();
    seen.authorized.lock().unwrap().push(token);
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
    seen.spans.send_modify(|spans| spans.extend(scopes.flat_map(|it| it.spans)));
}

fn attribute(span: &Span, key: &str) -> Value {
    let found = span.attributes.iter().find(|it| it.key == key);
    match found.and_then(|it| it.value.as_ref()?.value.as_ref()) {
        Some(Known::StringValue(text)) => json!(text),
        Some(Known::IntValue(number)) => json!(number),
        other => panic!("{key} of {span:?}: {other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

/// A server that sends its spans at once.
struct Traced {
    server: ServerProcess,
    client: reqwest::Client,
    _database: TestDatabase,
    _data: tempfile::TempDir,
}

impl Traced {
    async fn start(collector: &Collector, ratio: &str) -> Self {
        let (database, data) = (testing::database().await, tempfile::tempdir().unwrap());
        let settings = StoreSettings::new(database.url(), Schema::default());
        Store::migrate(&settings).await.unwrap();
        let environment = [
            ("STATEFLOW_OTLP_ENDPOINT", collector.url.as_str()),
            ("STATEFLOW_TRACE_RATIO", ratio),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer t0ken"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ];
        let environment = environment.map(|(name, value)| (name, Path::new(value)));
        let server = ServerProcess::with(database.url(), data.path(), &environment);
        Self { server, client: reqwest::Client::new(), _database: database, _data: data }
    }

    async fn publish(&self, definition: Value) {
        let url = format!("{}/api/workflows", self.server.url);
        let answer = self.client.post(url).json(&definition).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text().await.unwrap());
    }

    /// Starts an execution from a caller's span, and returns its id, and its end if it was waited for.
    async fn execute(&self, workflow: &str, traceparent: Option<&str>, wait: bool) -> Value {
        let wait = if wait { "?wait=30000" } else { "" };
        let url = format!("{}/api/workflows/{workflow}/execute{wait}", self.server.url);
        let mut request = self.client.post(url).json(&json!({ "input": {} }));
        if let Some(place) = traceparent {
            request = request.header("traceparent", place);
        }
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.server.url);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }
}

fn http(id: &str, url: &str, next: Option<&str>) -> Value {
    let mut step = json!({ "id": id, "type": "http", "config": { "url": url } });
    if let Some(next) = next {
        step["next"] = next.into();
    }
    step
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_seen_while_it_runs_and_whole_when_it_has_ended() {
    let collector = Collector::open().await;
    let traced = Traced::start(&collector, "1").await;
    let quick = http("quick", &format!("{}/quick", collector.url), Some("held"));
    let mut held = http("held", &format!("{}/held", collector.url), None);
    held["retryPolicy"] = json!({ "maxAttempts": 1 });
    traced.publish(json!({ "name": "orders", "steps": [quick, held] })).await;

    let started = traced.execute("orders", None, false).await;
    let id: Uuid = serde_json::from_value(started["id"].clone()).unwrap();
    let root = collector.span("start orders").await;
    let step = collector.span("step quick").await;
    let attempt = collector.span("attempt quick").await;
    let seen = traced.get(&format!("/api/executions/{id}")).await;
    assert_eq!(seen["status"], "running", "it is seen before it has ended");
    assert!(!collector.names().contains(&"execution orders".to_owned()));

    collector.seen.held.notify_one();
    let whole = collector.span("execution orders").await;
    let failed = collector.span("attempt held").await;
    let trace = id.simple().to_string();
    for span in [&root, &step, &attempt, &whole, &failed] {
        assert_eq!(hex(&span.trace_id), trace, "the trace is the execution: {span:?}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert_eq!(attribute(span, "stateflow.workflow"), "orders");
    }
    assert!(root.parent_span_id.is_empty(), "{root:?}");
    assert_eq!(step.parent_span_id, root.span_id);
    assert_eq!(attempt.parent_span_id, step.span_id);
    assert_eq!(whole.parent_span_id, root.span_id);
    assert!(whole.start_time_unix_nano <= step.start_time_unix_nano);
    assert!(whole.end_time_unix_nano >= failed.end_time_unix_nano);
    assert_eq!(attribute(&whole, "stateflow.status"), "failed");
    assert_eq!(attribute(&failed, "error.type"), "HTTP_STATUS");
    assert_eq!(failed.status.as_ref().unwrap().code, 2, "{failed:?}");

    // The calls are within their attempts, and the services were told where.
    let calls: Vec<_> =
        collector.seen.spans.borrow().iter().filter(|it| it.name == "GET").cloned().collect();
    let of = |parent: &Span| calls.iter().find(|it| it.parent_span_id == parent.span_id).unwrap();
    for (service, attempt, status) in [("quick", &attempt, 200), ("held", &failed, 404)] {
        let call = of(attempt);
        assert_eq!(attribute(call, "http.response.status_code"), status);
        let place = format!("00-{trace}-{}-01", hex(&call.span_id));
        assert_eq!(collector.seen.traceparents.lock().unwrap()[service], place);
    }
    assert!(collector.seen.authorized.lock().unwrap().iter().all(|it| it == "Bearer t0ken"));
    traced.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_trace_goes_on_through_workflows_and_branches() {
    let collector = Collector::open().await;
    // What begins here is not recorded; what begins elsewhere is, if it is there.
    let traced = Traced::start(&collector, "0").await;
    let url = format!("{}/quick", collector.url);
    traced.publish(json!({ "name": "callee", "steps": [http("call", &url, None)] })).await;
    let say = json!({ "id": "say", "type": "log", "config": { "message": "hi" } });
    let branch = json!({ "steps": [say] });
    let parallel = json!({ "id": "both", "type": "parallel", "next": "sub", "config": { "branches": { "one": branch } } });
    let sub = json!({ "id": "sub", "type": "workflow", "config": { "workflow": "callee" } });
    traced.publish(json!({ "name": "caller", "steps": [parallel, sub] })).await;

    let unrecorded = traced.execute("caller", None, true).await;
    assert_eq!(unrecorded["status"], "succeeded", "{unrecorded}");
    let refused = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    traced.execute("caller", Some(refused), true).await;
    let told = collector.seen.traceparents.lock().unwrap()["quick"].clone();
    assert!(told.starts_with(&refused[..36]) && told.ends_with("-00"), "{told}");
    assert_eq!(collector.names(), [""; 0]);

    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    traced.execute("caller", Some(caller), true).await;
    let spans = [
        "start caller",
        "execution caller",
        "step both",
        "attempt say",
        "step sub",
        "start callee",
        "GET",
    ];
    let mut found = HashMap::new();
    for name in spans {
        let span = collector.span(name).await;
        assert_eq!(hex(&span.trace_id), caller[3..35], "{span:?}");
        found.insert(name, span);
    }
    let parent = |name: &str| hex(&found[name].parent_span_id);
    assert_eq!(parent("start caller"), caller[36..52]);
    assert_eq!(parent("start callee"), hex(&found["step sub"].span_id));
    // The branch has a start of its own, within the step that has begun it.
    let begun: Vec<_> = collector
        .seen
        .spans
        .borrow()
        .iter()
        .filter(|it| it.name.starts_with("start "))
        .cloned()
        .collect();
    assert!(begun.iter().any(|it| it.parent_span_id == found["step both"].span_id), "{begun:?}");
    let all = collector.seen.spans.borrow().clone();
    for span in &all {
        let known = |it: &Span| it.span_id == span.parent_span_id;
        assert!(
            all.iter().any(known) || hex(&span.parent_span_id) == caller[36..52],
            "an orphan: {span:?}"
        );
    }
    traced.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_no_execution() {
    let collector = Collector::open().await;
    let nowhere = Collector { url: "http://127.0.0.1:9".to_owned(), ..collector };
    let traced = Traced::start(&nowhere, "1").await;
    let say = json!({ "id": "say", "type": "log", "config": { "message": "hi" } });
    traced.publish(json!({ "name": "quiet", "steps": [say] })).await;
    let ended = traced.execute("quiet", None, true).await;
    assert_eq!(ended["status"], "succeeded");
    let url = format!("{}/api/metrics/prometheus", traced.server.url);
    let failed = async || {
        let text = traced.client.get(&url).send().await.unwrap().text().await.unwrap();
        let line = text
            .lines()
            .find(|it| it.starts_with("stateflow_trace_spans_total{outcome=\"failed\"}"));
        line.unwrap().ends_with(" 0")
    };
    // It is counted.
    while failed().await {
        tokio::task::yield_now().await;
    }
    traced.server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_takes_its_senders_trace_along() {
    let collector = Collector::open().await;
    let traced = Traced::start(&collector, "0").await;
    let emit =
        json!({ "id": "tell", "type": "emit", "config": { "event": "order.packed", "data": {} } });
    let on = |event: &str| json!([{ "type": "event", "event": event, "input": {} }]);
    traced.publish(json!({ "name": "pack", "triggers": on("order.paid"), "steps": [emit] })).await;
    let say = json!({ "id": "say", "type": "log", "config": { "message": "sent" } });
    traced.publish(json!({ "name": "send", "triggers": on("order.packed"), "steps": [say] })).await;

    let url = format!("{}/api/events", traced.server.url);
    let own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = json!({ "event": "order.paid" });
    let request = traced.client.post(&url).json(&body).header("traceparent", own);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::ACCEPTED);
    let packed = collector.span("start pack").await;
    assert_eq!(
        (hex(&packed.trace_id), hex(&packed.parent_span_id)),
        (own[3..35].to_owned(), own[36..52].to_owned())
    );
    let sent = collector.span("start send").await;
    assert_eq!(sent.parent_span_id, packed.span_id, "what it emits goes on in the same trace");

    // A CloudEvent has it among its attributes.
    let other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let event = json!({ "specversion": "1.0", "type": "order.packed", "source": "/shop", "id": "1", "traceparent": other });
    let request = traced.client.post(&url).header("content-type", "application/cloudevents+json");
    assert_eq!(
        request.body(event.to_string()).send().await.unwrap().status(),
        StatusCode::ACCEPTED
    );
    let mut spans = collector.seen.spans.subscribe();
    let of_other = |span: &Span| hex(&span.trace_id) == other[3..35] && span.name == "start send";
    spans.wait_for(|spans| spans.iter().any(of_other)).await.unwrap();
    traced.server.stop();
}
