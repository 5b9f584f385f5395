//! Batches turned into the arrays that `unnest` takes.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use engine::attempt::LogLine;
use engine::failure::Failure;
use engine::machine::AttemptRecord;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Disposition, Write, Written};
use crate::wakeups::Ended;

/// The transitions of a batch, and what they bring.
#[derive(Default)]
pub(super) struct WriteColumns {
    pub(super) execution_id: Vec<Uuid>,
    pub(super) lease_epoch: Vec<i64>,
    pub(super) disposition: Vec<&'static str>,
    pub(super) status: Vec<&'static str>,
    pub(super) state: Vec<String>,
    pub(super) due_at: Vec<Option<DateTime<Utc>>>,
    pub(super) seen_signals: Vec<i32>,
    pub(super) record_count: Vec<i32>,
    pub(super) output: Vec<Option<String>>,
    pub(super) failure: Vec<Option<String>>,
    pub(super) taken_up_at: Vec<DateTime<Utc>>,
    /// The first record of each write, where it has one: nearly all have one or none.
    pub(super) first: FirstColumns,
    pub(super) logs: Vec<Option<String>>,
    /// The records after the first.
    pub(super) more: RecordColumns,
    pub(super) consumed: Vec<i64>,
    pub(super) dead_letter: Vec<bool>,
    /// Of what has failed: the code, and the step at which it stopped.
    pub(super) failed_code: Vec<Option<&'static str>>,
    pub(super) failed_step: Vec<Option<String>>,
}

/// One history line, or none, per write.
#[derive(Default)]
pub(super) struct FirstColumns {
    pub(super) sequence: Vec<Option<i32>>,
    pub(super) step_id: Vec<Option<String>>,
    pub(super) attempt: Vec<Option<i32>>,
    pub(super) status: Vec<Option<&'static str>>,
    pub(super) started_at: Vec<Option<DateTime<Utc>>>,
    pub(super) finished_at: Vec<Option<DateTime<Utc>>>,
    pub(super) output: Vec<Option<String>>,
    pub(super) failure: Vec<Option<String>>,
}

impl FirstColumns {
    fn push(&mut self, record: Option<&AttemptRecord>) {
        self.sequence.push(record.map(|it| signed(it.sequence)));
        self.step_id.push(record.map(|it| it.step_id.clone()));
        self.attempt.push(record.map(|it| signed(it.attempt)));
        self.status.push(record.map(|it| it.status.as_str()));
        self.started_at.push(record.map(|it| it.started_at));
        self.finished_at.push(record.map(|it| it.finished_at));
        self.output.push(record.and_then(|it| it.output.as_deref()).map(text));
        self.failure.push(record.and_then(|it| it.failure.as_ref()).map(failure_text));
    }
}

/// History lines.
#[derive(Default)]
pub(super) struct RecordColumns {
    pub(super) execution_id: Vec<Uuid>,
    pub(super) sequence: Vec<i32>,
    pub(super) step_id: Vec<String>,
    pub(super) attempt: Vec<i32>,
    pub(super) status: Vec<&'static str>,
    pub(super) started_at: Vec<DateTime<Utc>>,
    pub(super) finished_at: Vec<DateTime<Utc>>,
    pub(super) output: Vec<Option<String>>,
    pub(super) failure: Vec<Option<String>>,
}

impl RecordColumns {
    fn push(&mut self, execution_id: Uuid, record: &AttemptRecord) {
        self.execution_id.push(execution_id);
        self.sequence.push(signed(record.sequence));
        self.step_id.push(record.step_id.clone());
        self.attempt.push(signed(record.attempt));
        self.status.push(record.status.as_str());
        self.started_at.push(record.started_at);
        self.finished_at.push(record.finished_at);
        self.output.push(record.output.as_deref().map(text));
        self.failure.push(record.failure.as_ref().map(failure_text));
    }
}

impl WriteColumns {
    pub(super) fn of<'a>(writes: impl Iterator<Item = &'a Write>) -> Self {
        let mut columns = Self::default();
        for write in writes {
            columns.push(write);
        }
        columns
    }

    /// How the batch ends this execution, if it does.
    pub(super) fn ended(&self, id: Uuid) -> Option<Ended> {
        let at = self.execution_id.iter().position(|execution| *execution == id)?;
        let raw = |text: &Option<String>| {
            text.clone().map(|text| RawValue::from_string(text).expect("it was printed as JSON"))
        };
        (self.disposition[at] == "finish").then(|| Ended {
            id,
            status: self.status[at],
            output: raw(&self.output[at]),
            failure: raw(&self.failure[at]),
        })
    }

    fn push(&mut self, write: &Write) {
        let (disposition, due_at, output, failure) = match &write.disposition {
            Disposition::Keep => ("keep", None, None, None),
            Disposition::Release(due_at) => ("release", Some(*due_at), None, None),
            Disposition::Finish { output, failure } => {
                ("finish", None, output.as_deref().map(text), failure.as_ref().map(failure_text))
            }
            Disposition::Drop => ("drop", None, None, None),
        };
        self.execution_id.push(write.execution_id);
        self.lease_epoch.push(write.lease_epoch);
        self.disposition.push(disposition);
        self.status.push(write.state.status.as_str());
        self.state.push(text(&write.state));
        self.due_at.push(due_at);
        self.seen_signals.push(write.seen_signals);
        self.record_count.push(signed(write.state.records));
        self.output.push(output);
        self.failure.push(failure);
        self.consumed.extend(&write.consumed);
        self.dead_letter.push(write.is_dead_letter());
        let failed = match &write.disposition {
            Disposition::Finish { failure: Some(failure), .. } => Some(failure.code.as_str()),
            _ => None,
        };
        self.failed_code.push(failed);
        self.failed_step.push(failed.and(write.state.stopped_at.clone()));
        self.taken_up_at.push(write.taken_up_at);
        let mut records = write.records.iter();
        let first = records.next();
        self.first.push(first);
        // The lines belong to the attempt whose end is the first record.
        self.logs.push(first.and_then(|_| logs_text(&write.logs)));
        for record in records {
            self.more.push(write.execution_id, record);
        }
    }
}

/// What a batch brought too late.
#[derive(Default)]
pub(super) struct LateColumns {
    pub(super) lease_epoch: Vec<i64>,
    pub(super) records: RecordColumns,
}

impl LateColumns {
    /// The records of what is not durable.
    pub(super) fn of<'a>(
        writes: impl Iterator<Item = &'a Write>,
        durable: &HashMap<Uuid, Written>,
    ) -> Self {
        let mut late = Self::default();
        for write in writes.filter(|write| !durable.contains_key(&write.execution_id)) {
            for record in &write.records {
                late.lease_epoch.push(write.lease_epoch);
                late.records.push(write.execution_id, record);
            }
        }
        late
    }
}

pub(super) fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("values and states always print as JSON")
}

/// What an attempt logged; nothing for most.
fn logs_text(lines: &[LogLine]) -> Option<String> {
    (!lines.is_empty()).then(|| without_nul(text(&lines)))
}

fn failure_text(failure: &Failure) -> String {
    without_nul(text(failure))
}

/// What the database itself looks into: its text cannot hold NUL.
fn without_nul(json: String) -> String {
    if json.contains("\\u0000") { json.replace("\\u0000", "\\ufffd") } else { json }
}

/// Counters of the engine are unsigned and bounded far below this.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
