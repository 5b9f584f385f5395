//! A service that steps call: out of order until it is mended, or slow until it is told to answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Upstream {
    pub(crate) url: String,
    seen: Arc<Seen>,
    _serving: AbortOnDropHandle<()>,
}

struct Seen {
    mended: AtomicBool,
    keys: Mutex<Vec<String>>,
    calls: watch::Sender<usize>,
    answers: watch::Sender<bool>,
}

impl Upstream {
    /// Answers 500 until it is mended.
    pub(crate) async fn broken() -> Self {
        Self::start(false, true).await
    }

    /// Answers 200, once it is told to answer.
    pub(crate) async fn slow() -> Self {
        Self::start(true, false).await
    }

    async fn start(mended: bool, answers: bool) -> Self {
        let seen = Arc::new(Seen {
            mended: AtomicBool::new(mended),
            keys: Mutex::default(),
            calls: watch::Sender::new(0),
            answers: watch::Sender::new(answers),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new().route("/", any(answer)).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, _serving: AbortOnDropHandle::new(serving) }
    }

    /// From now on it answers 200.
    pub(crate) fn mend(&self) {
        self.seen.mended.store(true, Ordering::SeqCst);
    }

    /// From now on it answers 500 again.
    pub(crate) fn spoil(&self) {
        self.seen.mended.store(false, Ordering::SeqCst);
    }

    /// Waits until it has been called.
    pub(crate) async fn called(&self) {
        self.seen.calls.subscribe().wait_for(|calls| *calls > 0).await.unwrap();
    }

    /// From now on it answers.
    pub(crate) fn answer(&self) {
        self.seen.answers.send_replace(true);
    }

    /// The idempotency keys that it was called with, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.seen.keys.lock().unwrap().clone()
    }
}

async fn answer(State(seen): State<Arc<Seen>>, headers: HeaderMap) -> (StatusCode, &'static str) {
    let key = headers.get("idempotency-key").map_or("", |key| key.to_str().unwrap());
    seen.keys.lock().unwrap().push(key.to_owned());
    seen.calls.send_modify(|calls| *calls += 1);
    seen.answers.subscribe().wait_for(|answers| *answers).await.unwrap();
    if seen.mended.load(Ordering::SeqCst) {
        (StatusCode::OK, "done")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "out of order")
    }
}
