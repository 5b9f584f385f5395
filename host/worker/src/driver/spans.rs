//! What of an execution has ended, as spans. They follow from what is written down: see the `traces` crate for the picture.

use chrono::{DateTime, TimeZone, Utc};
use engine::failure::{ErrorCode, Failure};
use engine::machine::{AttemptRecord, Cursor, Execution, ExecutionStatus, RecordStatus, State};
use engine::plan::Work;
use engine::trace::TraceParent;
use traces::{KeyValue, Span, SpanKind};

use super::Drive;

/// How an execution ended, and why if it did not end well.
pub(super) type End = (ExecutionStatus, Option<ErrorCode>);

impl Drive {
    /// The spans that end with a transition to a state; none, at no cost, if they are not wanted.
    pub(super) fn spans(
        &self,
        after: &State,
        records: &[AttemptRecord],
        ended: Option<End>,
    ) -> Vec<Span> {
        if !self.is_traced() {
            return Vec::new();
        }
        let now = self.shared.clock.now();
        let spans = Spans { execution: &self.execution, now };
        let mut all: Vec<_> = records.iter().filter_map(|record| spans.record(record)).collect();
        all.extend(spans.visit(after, records));
        all.extend(ended.map(|end| spans.execution(end)));
        if self.starts() && after.status != ExecutionStatus::Pending {
            all.push(spans.start(self.taken_up_at));
        }
        all
    }

    /// The span of the start, when the first attempt is written down before it has ended.
    pub(super) fn record_start(&self) {
        if self.is_traced() && self.starts() {
            let spans = Spans { execution: &self.execution, now: self.shared.clock.now() };
            self.shared.traces.record(spans.start(self.taken_up_at));
        }
    }

    pub(super) fn record(&self, spans: Vec<Span>) {
        for span in spans {
            self.shared.traces.record(span);
        }
    }

    fn is_traced(&self) -> bool {
        self.shared.traces.is_on() && self.execution.sampled
    }

    /// Nothing is stored of it but that it is wanted, and not because it is wanted again.
    fn starts(&self) -> bool {
        let stored = self.stored.as_ref().unwrap_or(&self.execution.state);
        let is_first = stored.records == 0 || stored.fork.is_some();
        stored.status == ExecutionStatus::Pending && is_first
    }
}

struct Spans<'a> {
    execution: &'a Execution,
    now: DateTime<Utc>,
}

impl Spans<'_> {
    /// From the request to the moment in which somebody took it up: the root of all others.
    fn start(&self, taken_up_at: DateTime<Utc>) -> Span {
        let caller = self.execution.traced_by();
        Span {
            parent: caller,
            parent_is_remote: caller.is_some() && self.execution.around.is_none(),
            kind: SpanKind::Consumer,
            ended_at: taken_up_at,
            ..self.span(self.execution.trace(), format!("start {}", self.name()), self.created_at())
        }
    }

    /// All of the execution, from the request to the end.
    fn execution(&self, (status, code): End) -> Span {
        let place = self.execution.end_trace(self.now);
        let mut span = self.span(place, format!("execution {}", self.name()), self.created_at());
        span.attributes.push(KeyValue::new("stateflow.status", status.as_str()));
        span.attributes.extend(code.map(|code| KeyValue::new("error.type", code.as_str())));
        span.failure = code.map(|code| code.as_str().to_owned());
        span
    }

    /// An attempt that has ended; or a step that the execution went through without stopping at it.
    fn record(&self, record: &AttemptRecord) -> Option<Span> {
        if record.status == RecordStatus::Skipped {
            return None;
        }
        let id = record.step_id.as_str();
        let at = self.execution.state.cursor.as_ref().filter(|cursor| cursor.step == id);
        let mut span = match at {
            Some(cursor) if self.makes_attempts(id) => {
                let place = self.execution.attempt_trace(id, record.attempt);
                let span = self.span(place, format!("attempt {id}"), record.started_at);
                Span { parent: Some(self.execution.visit_trace(cursor)), ..span }
            }
            Some(_) => return None,
            None => {
                let place = self.execution.step_trace(id, record.started_at);
                self.span(place, format!("step {id}"), record.started_at)
            }
        };
        self.about(&mut span, record);
        span.ended_at = record.finished_at;
        Some(span)
    }

    /// The visit to a step that is over, with all of its attempts and the waits between them.
    fn visit(&self, after: &State, records: &[AttemptRecord]) -> Option<Span> {
        let cursor = self.execution.state.cursor.as_ref()?;
        let stays =
            |next: &Cursor| next.step == cursor.step && next.visited_at == cursor.visited_at;
        if after.cursor.as_ref().is_some_and(stays) {
            return None;
        }
        let place = self.execution.visit_trace(cursor);
        let mut span = self.span(place, format!("step {}", cursor.step), cursor.visited_at);
        match records.iter().rfind(|record| record.step_id == cursor.step) {
            Some(last) => self.about(&mut span, last),
            None => span.attributes.push(KeyValue::new("stateflow.step.id", cursor.step.clone())),
        }
        Some(span)
    }

    fn about(&self, span: &mut Span, record: &AttemptRecord) {
        let planned = self.execution.plan.step(&record.step_id);
        let step_type = planned.map(|step| step.step.step_type.clone());
        span.attributes.extend([
            KeyValue::new("stateflow.step.id", record.step_id.clone()),
            KeyValue::new("stateflow.attempt", i64::from(record.attempt)),
            KeyValue::new("stateflow.status", record.status.as_str()),
        ]);
        span.attributes.extend(step_type.map(|it| KeyValue::new("stateflow.step.type", it)));
        if let Some(Failure { code, message, .. }) = &record.failure {
            span.attributes.push(KeyValue::new("error.type", code.as_str()));
            span.failure = Some(message.clone());
        }
    }

    fn makes_attempts(&self, step: &str) -> bool {
        let planned = self.execution.plan.step(step);
        planned.is_some_and(|step| matches!(step.work, Work::Attempt(_)))
    }

    /// A span under the start's that ends now.
    fn span(&self, place: TraceParent, name: String, started_at: DateTime<Utc>) -> Span {
        let execution = self.execution;
        Span {
            place,
            parent: Some(execution.trace()),
            parent_is_remote: false,
            kind: SpanKind::Internal,
            name: name.into(),
            started_at,
            ended_at: self.now,
            attributes: vec![
                KeyValue::new("stateflow.execution.id", execution.id.to_string()),
                KeyValue::new("stateflow.workflow", execution.plan.workflow.clone()),
                KeyValue::new("stateflow.version", i64::from(execution.plan.version)),
            ],
            failure: None,
        }
    }

    fn name(&self) -> &str {
        &self.execution.plan.workflow
    }

    /// Its id says when it was made.
    fn created_at(&self) -> DateTime<Utc> {
        let at = self.execution.id.get_timestamp().map(|at| at.to_unix());
        let at = at.and_then(|(seconds, nanos)| {
            Utc.timestamp_opt(i64::try_from(seconds).ok()?, nanos).single()
        });
        at.unwrap_or(self.now)
    }
}
