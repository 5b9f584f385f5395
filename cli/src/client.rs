//! Talks to a server: JSON over HTTP, problems turned into errors that a person can read.

use std::fmt;

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::multipart::Form;
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::{fault, output};

/// The largest page of the API.
const PAGE: u32 = 500;

/// A value as it stands in a query.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// A path with what narrows it.
pub(crate) fn narrowed<'a>(
    path: &str,
    fields: impl IntoIterator<Item = (&'a str, String)>,
) -> String {
    let fields = fields.into_iter().map(|(field, value)| format!("{field}={}", encoded(&value)));
    let query = fields.collect::<Vec<_>>().join("&");
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Nothing answers; it may do so later. Other errors are the server's own words.
#[derive(Debug)]
pub(crate) struct Unreachable(String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// What a list has, up to a limit.
pub(crate) struct Items {
    pub(crate) items: Vec<Value>,
    more: bool,
}

impl Items {
    /// For whoever looks at the list.
    pub(crate) fn say_if_there_are_more(&self) {
        if self.more {
            output::note("there are more: raise --limit, or narrow the list");
        }
    }
}

/// A server, as client commands see it.
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Client {
    /// A client for the server at `base`.
    pub(crate) fn new(base: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            http,
            token: token.map(str::to_owned),
        })
    }

    /// GET, as JSON.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        read(self.send(self.request(Method::GET, path)).await?).await
    }

    /// The first items of a list, page after page.
    pub(crate) async fn items(&self, path: &str, limit: u32) -> anyhow::Result<Items> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        let separator = if path.contains('?') { '&' } else { '?' };
        loop {
            let got = u32::try_from(items.len()).unwrap_or(u32::MAX);
            // The server says that none is too few.
            let wanted = if limit == 0 { 0 } else { limit.saturating_sub(got).min(PAGE) };
            let page = self.get(&format!("{path}{separator}limit={wanted}{cursor}")).await?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            let Some(next) = page["nextCursor"].as_str() else {
                return Ok(Items { items, more: false });
            };
            if items.len() >= limit as usize {
                return Ok(Items { items, more: true });
            }
            cursor = format!("&cursor={}", encoded(next));
        }
    }

    /// GET of a text.
    pub(crate) async fn text(&self, path: &str) -> anyhow::Result<String> {
        self.stream(path).await?.text().await.context("the answer broke off")
    }

    /// GET whose answer is wanted whatever its status.
    pub(crate) async fn ask(&self, path: &str) -> anyhow::Result<(StatusCode, Value)> {
        let response = self.send(self.request(Method::GET, path)).await?;
        let status = response.status();
        Ok((status, response.json().await.context("the server's answer is not JSON")?))
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// POST of JSON, as JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        read(self.send(self.request(Method::POST, path).json(body)).await?).await
    }

    /// DELETE, whose answer is empty.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let response = self.send(self.request(Method::DELETE, path)).await?;
        if response.status().is_success() {
            return Ok(());
        }
        read(response).await.map(drop)
    }

    /// PUT of JSON, as JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        read(self.send(self.request(Method::PUT, path).json(body)).await?).await
    }

    /// POST of a form whose answer is wanted whatever its status.
    pub(crate) async fn post_form(
        &self,
        path: &str,
        form: Form,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let response = self.send(self.request(Method::POST, path).multipart(form)).await?;
        let status = response.status();
        Ok((status, response.json().await.context("the server's answer is not JSON")?))
    }

    /// A request whose answer is wanted whatever its status.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.request(method, path).header("content-type", kind).body(body);
        let response = self.send(request).await?;
        let status = response.status();
        Ok((status, response.json().await.context("the server's answer is not JSON")?))
    }

    /// PUT of JSON that is made only if the version is still this one; the answer is wanted whatever its status.
    pub(crate) async fn replace(
        &self,
        path: &str,
        version: &Value,
        body: Vec<u8>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.request(Method::PUT, path).header("content-type", "application/json");
        let request = request.header("if-match", format!("\"{version}\"")).body(body);
        let response = self.send(request).await?;
        let status = response.status();
        Ok((status, response.json().await.context("the server's answer is not JSON")?))
    }

    /// POST of bytes that are read while they are sent, as JSON.
    pub(crate) async fn send_body(&self, path: &str, body: Body) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/octet-stream").body(body);
        read(self.send(request).await?).await
    }

    /// GET of a stream.
    pub(crate) async fn stream(&self, path: &str) -> anyhow::Result<Response> {
        let response = self.send(self.request(Method::GET, path)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        read(response).await?;
        bail!("the server refused to stream {path}")
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        request.send().await.map_err(|error| {
            let text = if error.is_connect() {
                format!(
                    "no server at {}: start one with `stateflow dev`, or name one with --url, STATEFLOW_URL or --profile",
                    self.base
                )
            } else {
                format!("{:#}", anyhow::Error::from(error))
            };
            Unreachable(text).into()
        })
    }
}

async fn read(response: Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body: Value = response.json().await.context("the server's answer is not JSON")?;
    if status.is_success() {
        return Ok(body);
    }
    bail!("{}", problem(status, &body))
}

/// A problem document as text: what is wrong, then each fault on its own line.
pub(crate) fn problem(status: StatusCode, body: &Value) -> String {
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("{} ({status})", field("detail"));
    if !field("code").is_empty() {
        text = format!("{text} [{}]", field("code"));
    }
    for fault in body.get("errors").and_then(Value::as_array).into_iter().flatten() {
        text.push_str("\n  ");
        // It may end in a document of ours, where nobody takes colours out again.
        text.push_str(&console::strip_ansi_codes(&fault::text(fault)));
    }
    text
}
