//! A server that counts its connections and answers as the tests need it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, interval};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicU32>,
}

impl Server {
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

pub(crate) async fn start() -> Server {
    start_at("127.0.0.1:0").await
}

/// A web server with these routes:
///
/// - `/echo…`: what arrived, as text
/// - `/bytes/N`, `/header/N`: a body, or a header, of so many bytes
/// - `/to/STATUS?URL`: a redirect
pub(crate) async fn start_at(address: &str) -> Server {
    let routes = Router::new()
        .route("/bytes/{count}", get(bytes))
        .route("/header/{count}", get(header))
        .route("/to/{status}", any(redirect))
        .fallback(echo);
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU32::new(0));
    let counted = Counted { listener, connections: connections.clone() };
    tokio::spawn(async move { axum::serve(counted, routes).await.unwrap() });
    Server { address, connections }
}

/// A server that reads a request, writes this and hangs up.
pub(crate) async fn raw(address: &str, answer: &'static str) -> Server {
    streaming(address, move |mut stream| async move {
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await
}

/// A server that never gets done: one byte of its body every few milliseconds.
pub(crate) async fn dripping() -> Server {
    streaming("127.0.0.1:0", |mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await;
        let mut drops = interval(Duration::from_millis(5));
        while stream.write_all(b"x").await.is_ok() {
            drops.tick().await;
        }
    })
    .await
}

async fn streaming<F>(address: &str, answer: impl Fn(TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU32::new(0));
    let counter = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            tokio::spawn(answer(stream));
        }
    });
    Server { address, connections }
}

struct Counted {
    listener: TcpListener,
    connections: Arc<AtomicU32>,
}

impl axum::serve::Listener for Counted {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let accepted = self.listener.accept().await.unwrap();
        self.connections.fetch_add(1, Ordering::SeqCst);
        accepted
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn echo(request: Request) -> String {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 22).await.unwrap();
    let mut lines = vec![format!("{} {}", parts.method, parts.uri)];
    for (name, value) in &parts.headers {
        lines.push(format!("{name}: {}", value.to_str().unwrap()));
    }
    lines.push(String::from_utf8_lossy(&body).into_owned());
    lines.join("\n")
}

async fn bytes(Path(count): Path<usize>) -> String {
    "x".repeat(count)
}

/// A header block of exactly so many bytes: names and values.
async fn header(Path(count): Path<usize>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("date", "now".parse().unwrap());
    headers.insert("content-length", "0".parse().unwrap());
    let others = "date".len() + "now".len() + "content-length".len() + "0".len() + "x".len();
    headers.insert("x", "v".repeat(count - others).parse().unwrap());
    (headers, Body::empty()).into_response()
}

async fn redirect(Path(status): Path<u16>, request: Request) -> impl IntoResponse {
    let to = request.uri().query().unwrap_or_default().to_owned();
    (StatusCode::from_u16(status).unwrap(), [("location", to)])
}
