//! An API server of a test's own, with as many workers as the test wants, and a client.

use std::time::Duration;

use engine::policy::Policy;
use prometheus::Registry;
use reqwest::{Client, Method, RequestBuilder};
use sandbox::{Sandbox, SandboxConfig};
use secrets::Keyring;
use serde_json::{Value, json};
use stateflow_api::{ApiParts, ApiState, Monitoring, RateLimit, serve};
use store::events::Events;
use store::starts::Starter;
use store::wakeups::Wakeups;
use store::{Schema, Store, StoreSettings};
use testing::TestDatabase;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use worker::{Policies, Worker, WorkerMetrics, WorkerParts, WorkerSettings};

/// A test gives up after this long.
const PATIENCE: Duration = Duration::from_mins(1);
/// Small starts on their way into the database.
pub(crate) const STARTS_AT_ONCE: usize = 8;
/// What each counts as, in bytes.
const SMALL_START: usize = 3 * (42 << 10);
/// The largest upload of these servers, in bytes: small enough to test its edge.
pub(crate) const MAX_UPLOAD: usize = 64 << 10;

pub(crate) struct Server {
    pub(crate) store: Store,
    base: String,
    client: Client,
    stop: CancellationToken,
    wakeups: Wakeups,
    registry: Registry,
    sandbox: Sandbox,
    running: Vec<JoinHandle<()>>,
    keys: Option<Keyring>,
    policy: Policy,
    pub(crate) database: TestDatabase,
}

/// What an operator gives a process.
#[derive(Default)]
pub(crate) struct Operator<'a> {
    /// For secrets.
    pub(crate) keys: Option<&'a str>,
    /// For all namespaces.
    pub(crate) policy: Policy,
}

/// An answer: its status and its document.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: Value,
}

impl Server {
    /// The API alone.
    pub(crate) async fn start() -> Self {
        Self::with_keys(None).await
    }

    /// The API alone, with the operator's keys for secrets.
    pub(crate) async fn with_keys(keys: Option<&str>) -> Self {
        Self::on(testing::database().await, Operator { keys, ..Operator::default() }).await
    }

    /// The API alone, under a policy of the operator.
    pub(crate) async fn under(policy: Value, keys: Option<&str>) -> Self {
        let policy = serde_json::from_value(policy).unwrap();
        Self::on(testing::database().await, Operator { keys, policy }).await
    }

    /// The API alone, on a database of another server that has stopped.
    pub(crate) async fn on(database: TestDatabase, operator: Operator<'_>) -> Self {
        let policy = operator.policy;
        let keys = operator.keys.map(|keys| Keyring::parse(keys).unwrap());
        let settings = StoreSettings::new(database.url(), Schema::default());
        Store::migrate(&settings).await.unwrap();
        let store = Store::open(settings).await.unwrap();
        let (wakeups, registry) = (Wakeups::default(), Registry::new());
        let sandbox = Sandbox::new(SandboxConfig::new([7; 32])).unwrap();
        let (starter, writer) = Starter::open(store.clone(), wakeups.clone());
        let (events, writer_of_events) = Events::open(store.clone());
        let state = ApiState::new(ApiParts {
            store: store.clone(),
            starter,
            events,
            wakeups: wakeups.clone(),
            native: native_steps(),
            sandbox: sandbox.clone(),
            secrets: keys.clone(),
            operator: policy.plugins.clone(),
            rate_limit: RateLimit { per_second: None, behind_proxy: false },
            monitoring: Monitoring::new(store.clone(), registry.clone()),
            max_upload_bytes: MAX_UPLOAD,
            max_blob_bytes: 66 << 20,
            max_wait: Duration::from_mins(1),
            start_room_bytes: STARTS_AT_ONCE * SMALL_START,
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let serving = serve(listener, state, stop.clone());
        let running =
            vec![writer, writer_of_events, tokio::spawn(async move { serving.await.unwrap() })];
        let client = Client::new();
        Self {
            store,
            base,
            client,
            stop,
            wakeups,
            registry,
            sandbox,
            running,
            keys,
            policy,
            database,
        }
    }

    /// The API and a worker.
    pub(crate) async fn working() -> Self {
        let mut server = Self::start().await;
        server.add_worker();
        server
    }

    /// A worker comes; once per server, because its metrics are registered.
    pub(crate) fn add_worker(&mut self) {
        let (egress, private) = (way_out(), egress::Private::loopback());
        let policies =
            Policies::new(self.store.clone(), egress.clone(), self.policy.clone(), private);
        let grants = std::sync::Arc::new(policies.clone());
        let http = native::HttpSettings { grants, ..Default::default() };
        let parts = WorkerParts {
            store: self.store.clone(),
            wakeups: self.wakeups.clone(),
            native: native::NativeSteps::new(egress, http),
            policies,
            sandbox: self.sandbox.clone(),
            secrets: self.keys.clone(),
            metrics: WorkerMetrics::register(&self.registry).unwrap(),
            traces: traces::Traces::off(),
        };
        let worker = Worker::new(WorkerSettings::default(), parts);
        let stop = self.stop.clone();
        self.running.push(tokio::spawn(async move { worker.run(stop).await.unwrap() }));
    }

    /// Stops everything in order.
    pub(crate) async fn stop(self) {
        self.leave().await;
    }

    /// Stops everything in order, and leaves the database to another server.
    pub(crate) async fn leave(self) -> TestDatabase {
        self.stop.cancel();
        for running in self.running {
            running.await.unwrap();
        }
        self.store.close().await;
        self.database
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// `host:port`, for callers who speak for themselves.
    pub(crate) fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.request(Method::GET, path).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body)).await
    }

    /// Sends a text as it is.
    pub(crate) async fn post_text(&self, path: &str, body: String) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        send(request.body(body)).await
    }

    pub(crate) async fn upload(&self, query: &str, wasm: Vec<u8>) -> Answer {
        let request = self.request(Method::POST, &format!("/api/plugins{query}"));
        send(request.header("content-type", "application/wasm").body(wasm)).await
    }

    /// A number that only the database has.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let database = sqlx::PgPool::connect(self.database.url()).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&database).await.unwrap()
    }

    /// Publishes a workflow of these steps.
    pub(crate) async fn publish(&self, name: &str, steps: Value) {
        let answer = self.post("/api/workflows", &json!({ "name": name, "steps": steps })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// Starts an execution and waits for its end.
    pub(crate) async fn run(&self, workflow: &str, input: Value) -> Value {
        let path = format!("/api/workflows/{workflow}/execute?wait=60000");
        let answer = self.post(&path, &json!({ "input": input })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    /// Starts an execution.
    pub(crate) async fn begin(&self, workflow: &str, body: Value) -> String {
        let answer = self.post(&format!("/api/workflows/{workflow}/execute"), &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    /// Looks again and again until a document has a value in a place.
    pub(crate) async fn until(&self, path: &str, pointer: &str, wanted: &str) -> Value {
        let mut look = interval(Duration::from_millis(5));
        let began = Instant::now();
        loop {
            look.tick().await;
            let answer = self.get(path).await;
            if answer.body.pointer(pointer).and_then(Value::as_str) == Some(wanted) {
                return answer.body;
            }
            assert!(began.elapsed() < PATIENCE, "{path} has no {wanted} at {pointer}: {answer:?}");
        }
    }

    /// Looks again and again until an execution has ended, in whatever way.
    pub(crate) async fn until_ended(&self, path: &str) -> Value {
        let mut look = interval(Duration::from_millis(5));
        let began = Instant::now();
        loop {
            look.tick().await;
            let answer = self.get(path).await;
            if answer.body["finishedAt"].is_string() {
                return answer.body;
            }
            assert!(began.elapsed() < PATIENCE, "{path} does not end: {answer:?}");
        }
    }

    /// Looks again and again until a text has all these lines.
    pub(crate) async fn until_text(&self, path: &str, wanted: &[&str]) -> String {
        let mut look = interval(Duration::from_millis(5));
        let began = Instant::now();
        loop {
            look.tick().await;
            let text = self.text(path).await;
            if wanted.iter().all(|line| text.lines().any(|it| it == *line)) {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "{path} has not all of {wanted:?}:\n{text}");
        }
    }

    /// Whatever was asked of it, the server goes on, and nothing is in the database that was refused.
    pub(crate) async fn is_untouched(&self) {
        assert_eq!(self.get("/api/health").await.body["status"], "healthy");
        for list in ["/api/workflows", "/api/executions", "/api/plugins"] {
            let answer = self.get(list).await;
            assert_eq!(answer.body["items"], json!([]), "{list}");
        }
    }
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let header = response.headers().get("content-type");
    let kind = header.map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
    let body = response.bytes().await.unwrap();
    Answer { status, kind, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
}

impl Answer {
    /// A problem document with this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.kind, "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert!(self.body["requestId"].is_string());
        self
    }

    /// Its detail speaks of this.
    #[track_caller]
    pub(crate) fn says(&self, word: &str) -> &Self {
        assert!(self.body["detail"].as_str().unwrap().contains(word), "{self:?}");
        self
    }

    /// The codes and pointers of what is wrong in detail.
    pub(crate) fn faults(&self) -> Vec<(&str, &str)> {
        let faults = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        faults
            .iter()
            .map(|it| (it["code"].as_str().unwrap(), it["pointer"].as_str().unwrap()))
            .collect()
    }
}

/// The built-in steps, which may call this machine.
fn native_steps() -> native::NativeSteps {
    let grants = std::sync::Arc::new(native::AnyHost::and(egress::Private::loopback()));
    native::NativeSteps::new(way_out(), native::HttpSettings { grants, ..Default::default() })
}

fn way_out() -> egress::Egress {
    egress::Egress::new(egress::EgressSettings::default()).unwrap()
}
