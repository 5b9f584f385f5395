//! A service that gives back what it was sent, in all the ways that services do, and remembers what arrived.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Mirror {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Mirror {
    pub(crate) async fn start() -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(answer)).with_state(Arc::clone(&seen));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, _serving: AbortOnDropHandle::new(serving) }
    }

    /// What arrived: for each request its target, its `x-key`, its `authorization` and its body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(
    State(seen): State<Arc<Mutex<Vec<String>>>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers.get(name).map_or("", |it| it.to_str().unwrap()).to_owned();
    let (key, body) = (header("x-key"), String::from_utf8_lossy(&body).into_owned());
    let arrived = format!("{uri}\n{key}\n{}\n{body}", header("authorization"));
    seen.lock().unwrap().push(arrived.clone());
    let (path, target) = (uri.path(), uri.query().unwrap_or_default());
    match path {
        "/body" => arrived.into_response(),
        "/json" => axum::Json(serde_json::json!({ &key: [{ "is": &key }] })).into_response(),
        "/headers" => ([("x-echo", key)], "").into_response(),
        "/base64" => BASE64_STANDARD.encode(format!("user:{key}")).into_response(),
        "/base64url" => BASE64_URL_SAFE.encode(&key).into_response(),
        "/hex" => hex::encode(&key).into_response(),
        "/upper-hex" => hex::encode_upper(&key).into_response(),
        "/url" => percent(&key).into_response(),
        "/error" => (StatusCode::IM_A_TEAPOT, [("x-echo", key)], arrived).into_response(),
        "/redirect" => {
            (StatusCode::FOUND, [("location", target.trim_start_matches("to=").to_owned())])
                .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(crate) fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |all, byte| {
        if byte.is_ascii_alphanumeric() {
            all + &char::from(byte).to_string()
        } else {
            format!("{all}%{byte:02X}")
        }
    })
}
