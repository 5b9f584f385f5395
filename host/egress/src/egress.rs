//! The one function through which requests leave.
//!
//! ```text
//! request ─▶ canonical ─▶ rules, address ─▶ secrets ─▶ caps ─▶ connection ─▶ response
//!               ▲                                              (name resolved,      │
//!               │                                               addresses judged)   │
//!               └──────────────── redirect, if it is to be followed ◀───────────────┘
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::failure::Failure;
use engine::trace::TraceParent;
use http::{HeaderName, HeaderValue, Method, Request};
use tokio::time::{Instant, timeout_at};
use traces::{Call, Traces};

use crate::clients::Clients;
use crate::destination::Destination;
use crate::error::{EgressError, Part};
use crate::grant::{Caps, Grant};
use crate::headers;
use crate::meter::{Meter, Slot};
use crate::redirect::Hop;
use crate::resolver::{Resolver, SystemResolver};
use crate::response::{self, Bounds, Receipt, Response};
use crate::secrets::{NoSecrets, Secrets};
use crate::swap;

/// Source: W3C Trace Context, level 1, section 3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What an operator sets for all calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressSettings {
    /// Upper bound of a connection's set-up, with its name's resolution and its TLS handshake.
    pub connect_timeout: Duration,
    /// Upper bound of a name's resolution.
    pub resolve_timeout: Duration,
    /// Unless a request has its own.
    pub user_agent: String,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            resolve_timeout: Duration::from_secs(5),
            user_agent: concat!("stateflow/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// How one request is made, beyond what the grant says.
#[derive(Clone)]
pub struct How {
    /// How many redirects are followed; guests follow none.
    pub redirects: u8,
    /// The attempt's own: no part of the call lasts longer.
    pub deadline: Instant,
    /// Upper bound of the response's body; the grant's cap may be lower.
    pub max_response_bytes: u64,
    /// What placeholders stand for.
    pub secrets: Arc<dyn Secrets>,
    /// The attempt's count of requests.
    pub meter: Arc<Meter>,
    /// The attempt's span: the other side is told, unless the request says something else.
    pub trace: Option<TraceParent>,
}

impl How {
    /// No redirects, no secrets, the grant's caps.
    pub fn until(deadline: Instant, grant: &Grant) -> Self {
        Self {
            redirects: 0,
            deadline,
            max_response_bytes: grant.caps().response_bytes,
            secrets: Arc::new(NoSecrets),
            meter: Meter::new(grant.caps()),
            trace: None,
        }
    }
}

/// The way out. Clones share their connections.
#[derive(Clone)]
pub struct Egress {
    clients: Clients,
    traces: Traces,
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

impl Egress {
    /// Resolves names as the system does. Fails where TLS cannot be set up, so that a process says so at its start.
    pub fn new(settings: EgressSettings) -> Result<Self, EgressError> {
        Self::with_resolver(settings, Arc::new(SystemResolver))
    }

    /// Resolves names in another way.
    pub fn with_resolver(
        settings: EgressSettings,
        resolver: Arc<dyn Resolver>,
    ) -> Result<Self, EgressError> {
        let clients = Clients::new(settings, resolver);
        clients.get("", &Grant::any_host(crate::Private::default(), Caps::default()))?;
        Ok(Self { clients, traces: Traces::off() })
    }

    /// Records what is sent from now on.
    #[must_use]
    pub fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
    }

    /// Makes the request if the grant allows it, and follows as many redirects as it is told, each of them judged like
    /// a request of its own. Connections are shared within the tenant and the grant.
    ///
    /// Cancellation safe: the future may be dropped at any point, and its connection goes with it.
    pub async fn send(
        &self,
        tenant: &str,
        grant: &Grant,
        request: Request<Bytes>,
        how: How,
    ) -> Result<Response, EgressError> {
        let mut hop = first(request)?;
        let slot = how.meter.slot(how.deadline, &hop.destination.host()).await?;
        let mut so_far = Sent::default();
        loop {
            let (rules, answer) = self.exchange(tenant, grant, &hop, &how, &mut so_far).await?;
            if so_far.requests <= u32::from(how.redirects)
                && let Some(next) = hop.next(answer.status(), answer.headers(), &*how.secrets)?
            {
                hop = next;
                continue;
            }
            let answer = Answer { rules, inner: answer, slot, so_far };
            return Ok(answer.into_response(hop.destination, grant, how));
        }
    }

    /// One hop: judged, counted, with its secrets, sent.
    async fn exchange(
        &self,
        tenant: &str,
        grant: &Grant,
        hop: &Hop,
        how: &How,
        so_far: &mut Sent,
    ) -> Result<(Vec<String>, reqwest::Response), EgressError> {
        let rules = grant.allows(&hop.destination, &hop.method)?;
        how.meter.take()?;
        let revealed = swap::reveal(hop, &*how.secrets)?;
        // A secret in the path must not lead out of what the rules allow.
        grant.allows(&revealed.destination, &hop.method)?;
        let caps = grant.caps();
        let header_bytes = headers::size(&revealed.headers);
        within(Part::RequestHeaders, header_bytes, caps.header_bytes.into())?;
        within(Part::RequestBody, revealed.body.len() as u64, caps.request_bytes)?;
        so_far.requests += 1;
        so_far.bytes += header_bytes + revealed.body.len() as u64;
        let client = self.clients.get(tenant, grant)?;
        let mut request =
            reqwest::Request::new(revealed.method, revealed.destination.url().clone());
        *request.headers_mut() = revealed.headers;
        if !revealed.body.is_empty() {
            *request.body_mut() = Some(revealed.body.into());
        }
        let answer = self.execute(&client, request, hop, how, caps.header_bytes).await?;
        within(Part::ResponseHeaders, headers::size(answer.headers()), caps.header_bytes.into())?;
        Ok((rules, answer))
    }

    /// What leaves is in the trace, and tells the other side where.
    async fn execute(
        &self,
        client: &reqwest::Client,
        mut request: reqwest::Request,
        hop: &Hop,
        how: &How,
        header_bytes: u32,
    ) -> Result<reqwest::Response, EgressError> {
        let (host, port) = (hop.destination.host(), hop.destination.port());
        let method = request.method().as_str();
        let call = how.trace.and_then(|attempt| self.traces.call(attempt, method, &host, port));
        let place = call.as_ref().map(Call::place).or(how.trace);
        if let Some(place) = place
            && !request.headers().contains_key(TRACEPARENT)
        {
            let value = HeaderValue::from_str(&place.to_string());
            request.headers_mut().insert(TRACEPARENT, value.expect("digits and dashes"));
        }
        let answer = match timeout_at(how.deadline, client.execute(request)).await {
            Ok(answer) => {
                answer.map_err(|error| EgressError::of(error, &hop.destination, header_bytes))
            }
            Err(_) => Err(EgressError::Timeout { host }),
        };
        if let Some(call) = call {
            match &answer {
                Ok(answer) => call.answered(answer.status().as_u16()),
                Err(error) => {
                    let code = Failure::from(error.clone()).code;
                    call.failed(code.as_str(), error.to_string());
                }
            }
        }
        answer
    }
}

#[derive(Default)]
struct Sent {
    requests: u32,
    bytes: u64,
}

struct Answer {
    rules: Vec<String>,
    inner: reqwest::Response,
    slot: Slot,
    so_far: Sent,
}

impl Answer {
    fn into_response(self, destination: Destination, grant: &Grant, how: How) -> Response {
        let Self { rules, inner, slot, so_far } = self;
        let receipt = Receipt {
            host: destination.host(),
            port: destination.port(),
            status: inner.status().as_u16(),
            rules,
            requests: so_far.requests,
            sent_bytes: so_far.bytes,
            received_bytes: headers::size(inner.headers()),
        };
        let bounds = Bounds {
            destination,
            deadline: how.deadline,
            max_body_bytes: how.max_response_bytes.min(grant.caps().response_bytes),
            header_bytes: grant.caps().header_bytes,
            secrets: how.secrets,
        };
        let headers = response::scrub(inner.headers(), &*bounds.secrets);
        Response { status: inner.status(), headers, receipt, body: inner, bounds, _slot: slot }
    }
}

fn first(request: Request<Bytes>) -> Result<Hop, EgressError> {
    let (mut parts, body) = request.into_parts();
    // Both are for proxies, and the second one repeats credentials.
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        let message = format!("the method {} cannot be sent", parts.method);
        return Err(EgressError::Invalid { message });
    }
    let destination = Destination::parse(&parts.uri.to_string())?;
    headers::settle(&mut parts.headers, &destination, body.len())?;
    Ok(Hop { method: parts.method, destination, headers: parts.headers, body })
}

fn within(what: Part, bytes: u64, limit: u64) -> Result<(), EgressError> {
    if bytes > limit { Err(EgressError::TooLarge { what, limit }) } else { Ok(()) }
}
