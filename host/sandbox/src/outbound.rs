//! The one way out of a guest: what its attempt was granted, counted and written down.
//!
//! Both interfaces that make requests end here. The work is done on the caller's runtime: guests' threads have no
//! network of their own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use egress::{
    Caps, Destination, Egress, EgressError, Grant, How, Meter, NoSecrets, Private, Receipt, Secrets,
};
use engine::attempt::LogLevel;
use engine::trace::TraceParent;
use http::Request;
use secrets::Holder;
use serde_json::{Value, json};
use tokio::{runtime::Handle, time};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    guest::Streams,
    log_buffer::LogBuffer,
    request_tally::{RequestOutcome, RequestTally},
};

/// The longest method of a request. The longest that is registered has 17 (RFC 4437, UPDATEREDIRECTREF).
const MAX_METHOD_BYTES: usize = 32;

/// What an attempt may reach outside itself. Without one, nothing.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The way out.
    pub egress: Egress,
    /// What may be asked for.
    pub grant: Arc<Grant>,
}

/// What placeholders stand for on the way out, and whose values are taken out of what comes back.
pub(crate) type Held = Option<Arc<Holder>>;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Outbound(Arc<Inner>);

struct Inner {
    way: Option<Way>,
    deadline: Instant,
    log: LogBuffer,
    tally: RequestTally,
    held: Held,
}

/// What only those need who may reach something.
struct Way {
    reach: Reach,
    tenant: Arc<str>,
    meter: Arc<Meter>,
    trace: Option<TraceParent>,
    runtime: Handle,
}

/// A response that has come whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: http::StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Outbound {
    pub(crate) fn new(
        reach: Option<Reach>,
        tenant: &str,
        deadline: Instant,
        trace: Option<TraceParent>,
        streams: &Streams,
        held: Held,
    ) -> Self {
        let way = reach.and_then(|reach| {
            let meter = Meter::new(reach.grant.caps());
            let runtime = Handle::try_current().ok()?;
            Some(Way { reach, tenant: tenant.into(), meter, trace, runtime })
        });
        let (log, tally) = (streams.log.clone(), streams.requests.clone());
        Self(Arc::new(Inner { way, deadline, log, tally, held }))
    }

    /// The attempt's secrets.
    pub(crate) fn held(&self) -> Option<&Holder> {
        self.0.held.as_deref()
    }

    fn secrets(&self) -> Arc<dyn Secrets> {
        match &self.0.held {
            Some(holder) => Arc::clone(holder) as Arc<dyn Secrets>,
            None => Arc::new(NoSecrets),
        }
    }

    /// The most bytes of a request's body.
    pub(crate) fn max_body(&self) -> usize {
        let caps = self.0.way.as_ref().map(|way| *way.reach.grant.caps()).unwrap_or_default();
        usize::try_from(caps.request_bytes).unwrap_or(usize::MAX)
    }

    /// Makes a request and reads the whole response, and writes down what came of it. Dropping the future drops the
    /// connection.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<Answer, EgressError> {
        if request.method().as_str().len() > MAX_METHOD_BYTES {
            self.0.tally.count("", RequestOutcome::Denied);
            let message = format!("a method has at most {MAX_METHOD_BYTES} bytes");
            return Err(EgressError::Invalid { message });
        }
        let method = request.method().clone();
        let host = request.uri().host().unwrap_or_default();
        let under_way = self.0.tally.begin(&self.0.log, method.as_str(), host);
        match self.exchange(request, timeout).await {
            Ok((answer, receipt)) => {
                let message = format!("{method} {} answered {}", receipt.host, receipt.status);
                self.0.log.receipt(LogLevel::Debug, &message, facts(&receipt));
                under_way.end(RequestOutcome::Answered);
                Ok(answer)
            }
            Err(error) => {
                let facts = json!({ "method": method.as_str() });
                self.0.log.receipt(LogLevel::Warn, &format!("{method}: {error}"), facts);
                under_way.end(unanswered(&error));
                Err(error)
            }
        }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<(Answer, Receipt), EgressError> {
        let Some(way) = &self.0.way else { return Err(ungranted(&request)) };
        let last = self.0.deadline;
        let deadline = timeout.map_or(last, |most| last.min(Instant::now() + most));
        let reach = way.reach.clone();
        let how = How {
            redirects: 0,
            deadline: time::Instant::from_std(deadline),
            max_response_bytes: reach.grant.caps().response_bytes,
            secrets: self.secrets(),
            meter: Arc::clone(&way.meter),
            trace: way.trace,
        };
        let tenant = Arc::clone(&way.tenant);
        let sending = AbortOnDropHandle::new(way.runtime.spawn(async move {
            let mut response = reach.egress.send(&tenant, &reach.grant, request, how).await?;
            let body = response.read().await?;
            let answer =
                Answer { status: response.status, headers: response.headers.clone(), body };
            Ok((answer, response.receipt.clone()))
        }));
        sending.await.unwrap_or_else(|_| {
            Err(EgressError::Setup { cause: "the host's task for the request died".into() })
        })
    }
}

fn facts(receipt: &Receipt) -> Value {
    json!({
        "host": receipt.host,
        "port": receipt.port,
        "status": receipt.status,
        "rules": receipt.rules,
        "sentBytes": receipt.sent_bytes,
        "receivedBytes": receipt.received_bytes,
    })
}

fn unanswered(error: &EgressError) -> RequestOutcome {
    match error {
        EgressError::Denied(_)
        | EgressError::Invalid { .. }
        | EgressError::Secret { .. }
        | EgressError::SecretRedirected { .. }
        | EgressError::TooMany { .. } => RequestOutcome::Denied,
        _ => RequestOutcome::Failed,
    }
}

/// What somebody hears who may reach nothing: with the rule that would change that.
fn ungranted(request: &Request<Bytes>) -> EgressError {
    let nothing = Grant::new(Vec::new(), Private::default(), Caps::default())
        .expect("no party has too many rules");
    Destination::parse(&request.uri().to_string())
        .and_then(|to| nothing.allows(&to, request.method()))
        .err()
        .unwrap_or_else(|| EgressError::Invalid { message: "nothing was granted".into() })
}
