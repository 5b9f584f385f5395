//! The service that `http` steps call, and that spans are sent to: answers every request with a small JSON document.

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running service; it ends when dropped.
pub(crate) struct StepService {
    address: String,
    accepting: JoinHandle<()>,
}

impl StepService {
    /// On a free port of this machine.
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                tokio::spawn(connection);
            }
        });
        Ok(Self { address, accepting })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for StepService {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>> {
    // What is left unread ends the connection.
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
    Ok(answer.body(Full::new(Bytes::from_static(b"{\"ok\":true}")))?)
}
