//! The load's HTTP: one keep-alive connection per request in flight, and as little as possible around it, since the
//! load shares its cores with what it measures.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// One connection to the API.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects to `host:port`.
    pub(crate) async fn open(host: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(host).await.with_context(|| format!("cannot reach {host}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with its sender; what breaks it shows at the next request.
        tokio::spawn(connection);
        Ok(Self { sender, host: host.to_owned() })
    }

    /// Sends one request and reads its whole answer.
    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Posts JSON; anything but success is an error with the answer in it.
    pub(crate) async fn post(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        let answer = self.request(Method::POST, path, "application/json", body).await?;
        success(path, answer)
    }

    /// Reads JSON.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Value> {
        let answer = self.request(Method::GET, path, "application/json", Bytes::new()).await?;
        Ok(serde_json::from_slice(&success(path, answer)?)?)
    }
}

fn success(path: &str, (status, body): (StatusCode, Bytes)) -> Result<Bytes> {
    if status.is_success() {
        return Ok(body);
    }
    bail!("{path} answered {status}: {}", String::from_utf8_lossy(&body))
}
