//! An outside service that writes down every call, and can hold its answers back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The service.
pub(crate) struct Ledger {
    pub(crate) url: String,
    book: Arc<Book>,
    calls: watch::Receiver<usize>,
}

struct Book {
    calls_by_key: Mutex<HashMap<String, usize>>,
    calls: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Ledger {
    /// A service that answers at once.
    pub(crate) async fn open() -> Self {
        Self::start(true).await
    }

    /// A service that holds its answers back until told to give them.
    pub(crate) async fn holding() -> Self {
        Self::start(false).await
    }

    async fn start(open: bool) -> Self {
        let (sender, calls) = watch::channel(0);
        let book = Arc::new(Book {
            calls_by_key: Mutex::default(),
            calls: sender,
            open: watch::channel(open).0,
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/enter", listener.local_addr().unwrap());
        let router = Router::new().route("/enter", post(enter)).with_state(Arc::clone(&book));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, book, calls }
    }

    /// Gives the answers held back, and answers at once from now on.
    pub(crate) fn answer(&self) {
        self.book.open.send_replace(true);
    }

    /// Waits until so many calls have come in.
    pub(crate) async fn called(&mut self, times: usize) {
        self.calls.wait_for(|calls| *calls >= times).await.unwrap();
    }

    /// So many keys were called with, each once.
    pub(crate) fn each_once(&self, keys: usize) {
        let calls = self.calls_by_key();
        assert_eq!(calls.len(), keys);
        assert!(calls.values().all(|calls| *calls == 1), "{calls:?}");
    }

    /// How often each key was called with.
    pub(crate) fn calls_by_key(&self) -> HashMap<String, usize> {
        self.book.calls_by_key.lock().unwrap().clone()
    }
}

async fn enter(State(book): State<Arc<Book>>, headers: HeaderMap) -> &'static str {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    *book.calls_by_key.lock().unwrap().entry(key).or_default() += 1;
    book.calls.send_modify(|calls| *calls += 1);
    book.open.subscribe().wait_for(|open| *open).await.unwrap();
    "entered"
}
