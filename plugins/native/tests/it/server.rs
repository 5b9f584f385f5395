//! A small HTTP server that answers as the tests need it.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Starts it and gives its base URL. It ends with the test's runtime.
pub(crate) async fn start() -> String {
    let routes = Router::new()
        .route("/echo", any(echo))
        .route("/status/{code}", any(status))
        .route("/bytes/{count}", get(bytes))
        .route("/status/{code}/bytes/{count}", get(status_with_bytes))
        .route("/retry/{code}/{after}", get(retry))
        .route("/typed/{kind}", get(typed))
        .route("/redirect/{count}", get(redirect))
        .route("/redirect-away", get(redirect_away));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

/// A server that reads a request, answers with these bytes and hangs up.
pub(crate) async fn raw(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

/// Everything that arrived.
async fn echo(request: Request) -> axum::Json<Value> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let headers: Map<String, Value> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()))
        .collect();
    axum::Json(json!({
        "method": parts.method.as_str(),
        "query": parts.uri.query(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}

async fn status(Path(code): Path<u16>) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}

async fn bytes(Path(count): Path<usize>) -> String {
    "x".repeat(count)
}

async fn status_with_bytes(Path((code, count)): Path<(u16, usize)>) -> impl IntoResponse {
    (StatusCode::from_u16(code).unwrap(), [("set-cookie", "secret=1")], "x".repeat(count))
}

async fn retry(Path((code, after)): Path<(u16, String)>) -> impl IntoResponse {
    (StatusCode::from_u16(code).unwrap(), [("retry-after", after)])
}

async fn typed(Path(kind): Path<String>) -> Response {
    let (content_type, body): (&str, &[u8]) = match kind.as_str() {
        "json" => ("application/json; charset=utf-8", br#"{"a":[1,2.5]}"#),
        "problem" => ("application/problem+json", br#"{"code":"X"}"#),
        "broken-json" => ("application/json", b"{oops"),
        "text" => ("text/plain", "grüße".as_bytes()),
        "binary" => ("application/octet-stream", &[0xff, 0x00, 0x80]),
        _ => ("application/json", b""),
    };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", content_type.parse().unwrap());
    headers.append("x-many", "a".parse().unwrap());
    headers.append("x-many", "b".parse().unwrap());
    (headers, Body::from(body.to_vec())).into_response()
}

async fn redirect(Path(count): Path<u32>) -> Redirect {
    match count {
        0 | 1 => Redirect::temporary("/echo"),
        more => Redirect::temporary(&format!("/redirect/{}", more - 1)),
    }
}

/// To the address in the query, which is another host than this one.
async fn redirect_away(uri: Uri) -> Redirect {
    Redirect::temporary(uri.query().unwrap_or_default())
}
