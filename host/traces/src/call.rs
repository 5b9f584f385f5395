//! A call to another service, from its beginning to its end.

use chrono::{DateTime, Utc};
use engine::trace::TraceParent;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use crate::{Span, Traces};

/// A call under way. It is recorded when it is dropped: a call that nobody waits for any more has ended as well.
///
/// Names of attributes: OpenTelemetry's semantic conventions for HTTP clients. Paths and queries are left out, because they
/// carry data.
#[derive(Debug)]
pub struct Call {
    traces: Traces,
    parent: TraceParent,
    place: TraceParent,
    started_at: DateTime<Utc>,
    name: String,
    attributes: Vec<KeyValue>,
    failure: Option<String>,
}

impl Traces {
    /// A call that is made for an attempt; `None` if the attempt's trace is not recorded.
    pub fn call(&self, attempt: TraceParent, method: &str, host: &str, port: u16) -> Option<Call> {
        (self.is_on() && attempt.is_sampled()).then(|| Call {
            traces: self.clone(),
            parent: attempt,
            place: attempt.span(rand::random()),
            started_at: Utc::now(),
            name: method.to_owned(),
            attributes: vec![
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("server.address", host.to_owned()),
                KeyValue::new("server.port", i64::from(port)),
            ],
            failure: Some("it was not waited for".to_owned()),
        })
    }
}

impl Call {
    /// The call's span, for the other side to go on from.
    pub fn place(&self) -> TraceParent {
        self.place
    }

    /// There is a response. Those that say that something went wrong are failures.
    pub fn answered(mut self, status: u16) {
        self.attributes.push(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 400 {
            self.attributes.push(KeyValue::new("error.type", status.to_string()));
        }
        self.failure = (status >= 400).then(|| format!("the response's status is {status}"));
    }

    /// There is no response.
    pub fn failed(mut self, code: &'static str, why: String) {
        self.attributes.push(KeyValue::new("error.type", code));
        self.failure = Some(why);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let span = Span {
            place: self.place,
            parent: Some(self.parent),
            parent_is_remote: false,
            kind: SpanKind::Client,
            name: std::mem::take(&mut self.name).into(),
            started_at: self.started_at,
            ended_at: Utc::now(),
            attributes: std::mem::take(&mut self.attributes),
            failure: self.failure.take(),
        };
        self.traces.record(span);
    }
}
