//! A local HTTP server for the tests.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Starts the server, and gives its base URL.
pub(crate) async fn start() -> String {
    let router = Router::new()
        .route("/echo", any(echo))
        .route("/answer", any(answer))
        .route("/bytes/{count}", get(|Path(count): Path<usize>| async move { vec![b'x'; count] }))
        .route("/stream/{count}", get(stream))
        .route("/endless", get(endless))
        .route("/redirect/{left}", get(redirect));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Says what it was asked.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let headers: BTreeMap<_, _> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let body = String::from_utf8_lossy(&body);
    axum::Json(json!({
        "method": method.as_str(),
        "uri": uri.to_string(),
        "headers": headers,
        "body": body,
    }))
    .into_response()
}

/// Answers as the query says: `status`, `type`, `retry`, and either `hex` or `body`.
async fn answer(Query(query): Query<BTreeMap<String, String>>) -> Response {
    let mut response = Response::builder();
    if let Some(status) = query.get("status") {
        response = response.status(StatusCode::from_bytes(status.as_bytes()).unwrap());
    }
    for (name, header) in [("type", "content-type"), ("retry", "retry-after")] {
        if let Some(value) = query.get(name) {
            response = response.header(header, value);
        }
    }
    let body = match (query.get("repeat"), query.get("body").map(String::as_str)) {
        (Some(times), Some(text)) => text.repeat(times.parse().unwrap()).into_bytes(),
        (_, Some("binary")) => vec![0xff, 0x00, 0xfe],
        (_, text) => text.unwrap_or_default().as_bytes().to_vec(),
    };
    response.header("x-two", "a").header("x-two", "b").body(Body::from(body)).unwrap()
}

async fn redirect(Path(left): Path<u32>) -> Redirect {
    match left {
        0 => Redirect::temporary("/echo"),
        left => Redirect::temporary(&format!("/redirect/{}", left - 1)),
    }
}

/// A body without a length, in chunks of a hundred bytes.
async fn stream(Path(count): Path<usize>) -> Body {
    let (mut writer, body) = piped();
    tokio::spawn(async move {
        for start in (0..count).step_by(100) {
            let chunk = vec![b'x'; (count - start).min(100)];
            if writer.write_all(&chunk).await.is_err() {
                return;
            }
        }
    });
    body
}

async fn endless() -> Body {
    let (mut writer, body) = piped();
    tokio::spawn(async move { while writer.write_all(&[b'x'; 4096]).await.is_ok() {} });
    body
}

fn piped() -> (tokio::io::DuplexStream, Body) {
    let (writer, reader) = tokio::io::duplex(4096);
    (writer, Body::from_stream(tokio_util::io::ReaderStream::new(reader)))
}

/// A server that reads a request, writes these bytes, and hangs up.
pub(crate) async fn raw(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer).await;
        }
    });
    url
}

/// A URL that nobody listens on.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
