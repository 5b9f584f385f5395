//! Requests as guests make them: `stateflow:plugin/http` and `wasi:http/outgoing-handler`, both led to `Outbound`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use egress::EgressError;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use wasmtime_wasi_http::{
    Error as WasiHttpError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use crate::{
    bindings::step::stateflow::plugin::http as world,
    guest::Guest,
    host_calls::Import,
    outbound::{Answer, Outbound},
};

/// What a guest's headers may take up in this host's memory.
const MAX_FIELD_BYTES: usize = 32 << 10;

/// What the host holds of the body of each request that a guest is writing; there may be as many as there are handles.
const BODY_CHUNK_BYTES: usize = 8 << 10;

/// What the host holds of responses that a guest has not read and not dropped: two of the largest.
const MAX_UNREAD_BYTES: usize = 8 << 20;

impl world::Host for Guest {
    async fn send(
        &mut self,
        request: world::Request,
    ) -> wasmtime::Result<Result<world::Response, world::Error>> {
        self.calls.count(Import::Http);
        let timeout = request.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        let request = match built(request) {
            Ok(request) => request,
            Err(message) => return Ok(Err(world::Error::Invalid(message))),
        };
        let outbound = self.outbound.clone();
        Ok(outbound.send(request, timeout).await.map(response).map_err(|error| said(&error)))
    }
}

fn built(request: world::Request) -> Result<Request<Bytes>, String> {
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| format!("`{}` is not a method", shortened(&request.method)))?;
    let url =
        url::Url::parse(&request.url).map_err(|error| format!("the URL is not one: {error}"))?;
    let uri: Uri = url.as_str().parse().map_err(|error| format!("the URL is not one: {error}"))?;
    let mut built = Request::new(Bytes::from(request.body.unwrap_or_default()));
    *built.method_mut() = method;
    *built.uri_mut() = uri;
    for (name, value) in request.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{}` is not a header's name", shortened(&name)))?;
        let value = HeaderValue::from_str(&value)
            .map_err(|_| format!("the value of the header `{header}` cannot be sent"))?;
        built.headers_mut().append(header, value);
    }
    Ok(built)
}

fn response(answer: Answer) -> world::Response {
    let headers = answer.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    world::Response {
        status: answer.status.as_u16(),
        headers: headers.collect(),
        body: answer.body,
    }
}

fn said(error: &EgressError) -> world::Error {
    match error {
        EgressError::Denied(_)
        | EgressError::Secret { .. }
        | EgressError::SecretRedirected { .. } => world::Error::Denied(error.to_string()),
        EgressError::Invalid { message } => world::Error::Invalid(message.clone()),
        EgressError::Timeout { .. } => world::Error::Timeout,
        EgressError::TooLarge { limit, .. } => world::Error::TooLarge(*limit),
        EgressError::TooMany { limit } => world::Error::TooMany(*limit),
        _ => world::Error::Failed(error.to_string()),
    }
}

/// A guest's words in a message.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(100)]
}

/// The state of `wasi:http` in an attempt's store.
pub(crate) struct WasiOutbound {
    context: WasiHttpCtx,
    hooks: Hooks,
}

struct Hooks {
    outbound: Outbound,
    unread: Arc<AtomicUsize>,
}

/// So many bytes of a response are held, for as long as this lives.
struct Unread {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Unread {
    /// None if the guest holds as much as it may.
    fn hold(all: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        all.try_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|held| *held <= MAX_UNREAD_BYTES)
        })
        .ok()?;
        Some(Self { all: Arc::clone(all), bytes })
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

type Exchanged = (Response<WasiBody>, Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>);

impl WasiOutbound {
    pub(crate) fn new(outbound: Outbound) -> Self {
        let mut context = WasiHttpCtx::new();
        context.set_field_size_limit(MAX_FIELD_BYTES);
        Self { context, hooks: Hooks { outbound, unread: Arc::default() } }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { wasi_http, table, .. } = self;
        WasiHttpCtxView { ctx: &mut wasi_http.context, table, hooks: &mut wasi_http.hooks }
    }
}

impl WasiHttpHooks for Hooks {
    /// The way out sets it, of the destination as it was understood: one in other words would be refused there.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        1
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }

    /// The guest's own timeouts can only be shorter than the attempt's.
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), WasiHttpError>> + Send>,
    ) -> Box<dyn Future<Output = Result<Exchanged, WasiHttpError>> + Send> {
        let (outbound, unread) = (self.outbound.clone(), Arc::clone(&self.unread));
        let timeout = options.and_then(|options| options.first_byte_timeout);
        Box::new(async move {
            let (parts, body) = request.into_parts();
            let limited = Limited::new(body, outbound.max_body()).collect().await;
            let body = limited.map_err(|_| WasiHttpError::HttpRequestBodySize(None))?.to_bytes();
            let answer = outbound
                .send(Request::from_parts(parts, body), timeout)
                .await
                .map_err(|error| named(&error))?;
            let held = Unread::hold(&unread, answer.body.len())
                .ok_or(WasiHttpError::ConnectionLimitReached)?;
            let whole = Full::new(Bytes::from(answer.body)).map_err(|never| match never {});
            // Held until the body is read or dropped.
            let whole = whole.map_frame(move |frame| {
                let _ = &held;
                frame
            });
            let mut response = Response::new(whole.boxed_unsync());
            *response.status_mut() = answer.status;
            *response.headers_mut() = answer.headers;
            let done: Box<dyn Future<Output = _> + Send> = Box::new(async { Ok(()) });
            Ok((response, done))
        })
    }
}

/// The nearest of the errors that WASI knows.
fn named(error: &EgressError) -> WasiHttpError {
    match error {
        EgressError::Denied(_)
        | EgressError::Secret { .. }
        | EgressError::SecretRedirected { .. }
        | EgressError::TooMany { .. } => WasiHttpError::HttpRequestDenied,
        EgressError::Invalid { .. } => WasiHttpError::HttpRequestUriInvalid,
        EgressError::Timeout { .. } => WasiHttpError::HttpResponseTimeout,
        EgressError::TooLarge { limit, .. } => WasiHttpError::HttpResponseBodySize(Some(*limit)),
        EgressError::Connect { .. } => WasiHttpError::ConnectionRefused,
        EgressError::Tls { .. } => WasiHttpError::TlsProtocolError,
        EgressError::Broken { .. } => WasiHttpError::ConnectionTerminated,
        EgressError::Setup { cause } => WasiHttpError::InternalError(Some(cause.clone())),
    }
}
