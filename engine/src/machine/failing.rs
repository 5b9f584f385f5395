//! Attempts that failed: once more, on to `onError`, to rest, or to the end.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Rejection;
use super::command::RecordStatus;
use super::state::{Cursor, StepStatus, after, error_value};
use super::turn::{Flow, Turn};
use crate::expression::Scope;
use crate::failure::{ErrorCode, Failure};
use crate::plan::PlannedStep;
use crate::retry::{OnExhausted, Tries};

impl Turn<'_> {
    pub(super) fn fail(
        &mut self,
        attempt: u32,
        failure: &Failure,
        chance: f64,
    ) -> Result<Flow, Rejection> {
        let mut cursor = self.attempt_under_way(attempt)?;
        cursor.failed += 1;
        Ok(self.fail_with(cursor, failure, chance))
    }

    pub(super) fn lose_worker(&mut self) -> Flow {
        let Some(mut cursor) = self.state.cursor.take() else { return self.begin() };
        cursor.lost += 1;
        let message = "the worker that ran this attempt stopped renewing its lease";
        self.fail_with(cursor, &Failure::new(ErrorCode::WorkerLost, message), 0.0)
    }

    pub(super) fn fail_with(&mut self, cursor: Cursor, failure: &Failure, chance: f64) -> Flow {
        self.record(&cursor, RecordStatus::Failed, None, Some(failure.clone()));
        let step = self.planned(&cursor.step);
        let tries = Tries {
            failed: cursor.failed,
            lost: cursor.lost,
            elapsed_ms: elapsed_ms(cursor.visited_at, self.now),
            chance,
        };
        let error = error_value(failure, &cursor.step, cursor.attempt);
        match step.retry.delay_after(failure, tries) {
            Some(delay_ms) if self.retry_wanted(&step, &error) => {
                self.set_step(&cursor.step, StepStatus::Waiting, None, Some(error));
                self.wait_or_go(cursor, delay_ms)
            }
            _ => self.exhaust(&step, failure, &cursor),
        }
    }

    /// `retryPolicy.when`; an expression that fails wants no retry: the failure itself is what matters.
    fn retry_wanted(&self, step: &PlannedStep, error: &Value) -> bool {
        let Some(when) = &step.retry_when else { return true };
        let scope = Scope { error: Some(error), ..self.scope("") };
        when.evaluate(&scope).is_ok_and(|value| value == Value::Bool(true))
    }

    fn wait_or_go(&mut self, mut cursor: Cursor, delay_ms: u64) -> Flow {
        cursor.attempt += 1;
        if delay_ms == 0 {
            return self.start(cursor);
        }
        self.wait_until(cursor, after(self.now, delay_ms))
    }

    /// All attempts failed: on to `onError`, or to the end.
    pub(super) fn exhaust(
        &mut self,
        step: &PlannedStep,
        failure: &Failure,
        cursor: &Cursor,
    ) -> Flow {
        let error = error_value(failure, &step.step.id, cursor.attempt);
        self.set_step(&step.step.id, StepStatus::Failed, None, Some(error.clone()));
        match &step.step.on_error {
            Some(next) => {
                self.state.error = Some(error);
                Flow::Enter(next.clone())
            }
            None if step.retry.on_exhausted == OnExhausted::Pause => {
                let reason = format!("step `{}` failed: {}", step.step.id, failure.message);
                self.rest_at(cursor, &reason)
            }
            None => {
                self.state.unremarkable = step.retry.on_exhausted == OnExhausted::Fail;
                self.state.stopped_at = Some(step.step.id.clone());
                Flow::Fail(failure.clone())
            }
        }
    }

    /// The attempt could not even begin: it counts, is recorded, and trying again would give the same.
    pub(super) fn fail_unbegun(
        &mut self,
        cursor: &Cursor,
        step: &PlannedStep,
        failure: &Failure,
    ) -> Flow {
        let cursor = Cursor { started_at: self.now, ..cursor.clone() };
        self.fail_step(&cursor, failure);
        self.exhaust(step, failure, &cursor)
    }

    /// Its line in the history, and its record.
    pub(super) fn fail_step(&mut self, cursor: &Cursor, failure: &Failure) {
        self.record(cursor, RecordStatus::Failed, None, Some(failure.clone()));
        self.set_attempts(cursor);
        let error = error_value(failure, &cursor.step, cursor.attempt);
        self.set_step(&cursor.step, StepStatus::Failed, None, Some(error));
    }
}

fn elapsed_ms(since: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    u64::try_from((now - since).num_milliseconds()).unwrap_or(0)
}
