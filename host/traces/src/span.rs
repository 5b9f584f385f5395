//! A span that has ended.

use std::borrow::Cow;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use engine::trace::TraceParent;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// Where it is.
    pub place: TraceParent,
    /// The span that it is within.
    pub parent: Option<TraceParent>,
    /// The parent is another system's.
    pub parent_is_remote: bool,
    /// Its part in a conversation.
    pub kind: SpanKind,
    /// What it is called. Names are few: they come from definitions, not from data.
    pub name: Cow<'static, str>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// What else is known of it; no secrets.
    pub attributes: Vec<KeyValue>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

impl Span {
    pub(crate) fn into_data(self, scope: &InstrumentationScope) -> SpanData {
        let parent = self.parent.map_or(SpanId::INVALID, |it| SpanId::from(it.span_id()));
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(self.place.trace_id()),
                SpanId::from(self.place.span_id()),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parent,
            parent_span_is_remote: self.parent_is_remote,
            span_kind: self.kind,
            name: self.name,
            start_time: SystemTime::from(self.started_at),
            end_time: SystemTime::from(self.ended_at.max(self.started_at)),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: self.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: scope.clone(),
        }
    }
}
