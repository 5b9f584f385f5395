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

/// See the module.
#[derive(Clone)]
pub(crate) struct Outbound {
    reach: Option<Reach>,
    tenant: Arc<str>,
    meter: Arc<Meter>,
    deadline: Instant,
    log: LogBuffer,
    tally: RequestTally,
    held: Held,
    runtime: Option<Handle>,
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
        streams: &Streams,
        held: Held,
    ) -> Self {
        let caps = reach.as_ref().map(|reach| *reach.grant.caps()).unwrap_or_default();
        Self {
            reach,
            tenant: tenant.into(),
            meter: Meter::new(&caps),
            deadline,
            log: streams.log.clone(),
            tally: streams.requests.clone(),
            held,
            runtime: Handle::try_current().ok(),
        }
    }

    /// The attempt's secrets.
    pub(crate) fn held(&self) -> Option<&Holder> {
        self.held.as_deref()
    }

    fn secrets(&self) -> Arc<dyn Secrets> {
        match &self.held {
            Some(holder) => Arc::clone(holder) as Arc<dyn Secrets>,
            None => Arc::new(NoSecrets),
        }
    }

    /// The most bytes of a request's body.
    pub(crate) fn max_body(&self) -> usize {
        let caps = self.reach.as_ref().map(|reach| *reach.grant.caps()).unwrap_or_default();
        usize::try_from(caps.request_bytes).unwrap_or(usize::MAX)
    }

    /// Makes a request and reads the whole response, and writes down what came of it. Dropping the future drops the
    /// connection.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<Answer, EgressError> {
        let method = request.method().clone();
        let host = request.uri().host().unwrap_or_default().to_owned();
        match self.exchange(request, timeout).await {
            Ok((answer, receipt)) => {
                let message = format!("{method} {} answered {}", receipt.host, receipt.status);
                self.log.receipt(LogLevel::Debug, &message, facts(&receipt));
                self.tally.count(&receipt.host, RequestOutcome::Answered);
                Ok(answer)
            }
            Err(error) => {
                let facts = json!({ "method": method.as_str() });
                self.log.receipt(LogLevel::Warn, &format!("{method}: {error}"), facts);
                self.tally.count(&host, unanswered(&error));
                Err(error)
            }
        }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<(Answer, Receipt), EgressError> {
        let (Some(reach), Some(runtime)) = (self.reach.clone(), &self.runtime) else {
            return Err(ungranted(&request));
        };
        let deadline =
            timeout.map_or(self.deadline, |most| self.deadline.min(Instant::now() + most));
        let how = How {
            redirects: 0,
            deadline: time::Instant::from_std(deadline),
            max_response_bytes: reach.grant.caps().response_bytes,
            secrets: self.secrets(),
            meter: Arc::clone(&self.meter),
        };
        let tenant = Arc::clone(&self.tenant);
        let sending = AbortOnDropHandle::new(runtime.spawn(async move {
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
