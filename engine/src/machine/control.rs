//! What the machine carries out itself: control steps. None of them makes an attempt on a worker.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::command::{Command, RecordStatus};
use super::listening::emitted_id;
use super::state::{Cursor, StepStatus, after};
use super::turn::{Flow, Turn, kind_of, leave, within_limit};
use crate::definition::MAX_DURATION_MS;
use crate::expression::{Expression, Template};
use crate::failure::{ErrorCode, Failure};
use crate::plan::{PlannedStep, Work};

/// A control step's output, and the way from it.
type Decision = Result<(Arc<Value>, Flow), Failure>;

impl Turn<'_> {
    pub(super) fn carry_out(&mut self, cursor: Cursor, step: &PlannedStep, work: &Work) -> Flow {
        let decision = match work {
            Work::WaitFor(_) | Work::WaitUntil(_) => match self.instant(step, work) {
                Ok(until) => return self.begin_wait(cursor, until),
                Err(failure) => Err(failure),
            },
            Work::Hear(hearing) => return self.listen(cursor, step, hearing),
            Work::Emit { event, data } => self.emit(step, event, data.as_ref()),
            Work::Children(children) => return self.begin_children(cursor, step, children),
            work => self.decide(step, work),
        };
        match decision {
            Ok((output, flow)) => self.complete(&cursor, output, flow),
            Err(failure) => self.fail_unbegun(&cursor, step, &failure),
        }
    }

    fn decide(&self, step: &PlannedStep, work: &Work) -> Decision {
        match work {
            Work::Switch { cases, default } => self.choose(step, cases, default.as_deref()),
            Work::Transform(value) => {
                let output = self.map_output(step, self.evaluate(value, step, "value")?)?;
                Ok((Arc::clone(&output), leave(step, Some(output))))
            }
            Work::Succeed(Some(output)) => {
                let output = within_limit(self.evaluate(output, step, "output")?)?;
                Ok((Arc::clone(&output), Flow::Succeed(output)))
            }
            Work::Succeed(None) => Ok((Arc::default(), Flow::End(None))),
            Work::Fail { code, message } => {
                Err(self.author_failure(step, code.as_deref(), message))
            }
            Work::Attempt(_)
            | Work::WaitFor(_)
            | Work::WaitUntil(_)
            | Work::Children(_)
            | Work::Hear(_)
            | Work::Emit { .. } => {
                Err(Failure::permanent(ErrorCode::Internal, "this step is not decided at once"))
            }
        }
    }

    /// The first case that is true.
    fn choose(
        &self,
        step: &PlannedStep,
        cases: &[(Expression, String)],
        default: Option<&str>,
    ) -> Decision {
        for (at, (when, next)) in cases.iter().enumerate() {
            if self.holds(when, step, &format!("cases[{at}].when"))? {
                return Ok(chosen(&json!(at), next));
            }
        }
        let none = "no case of the switch is true, and it has no `default`";
        default
            .map(|next| chosen(&json!("default"), next))
            .ok_or_else(|| Failure::permanent(ErrorCode::ConfigInvalid, none))
    }

    fn emit(&mut self, step: &PlannedStep, event: &Template, data: Option<&Template>) -> Decision {
        let name = self.event_name(event, step, "event")?;
        let data = data.map(|data| self.evaluate(data, step, "data")).transpose()?;
        let data = Arc::new(data.unwrap_or_default());
        let id = emitted_id(self.execution.id, self.state.records + 1, self.now);
        let output = self.map_output(step, json!({ "id": id, "name": name, "data": *data }))?;
        self.commands.push(Command::Emit { id, name, data });
        Ok((Arc::clone(&output), leave(step, Some(output))))
    }

    fn author_failure(
        &self,
        step: &PlannedStep,
        code: Option<&str>,
        message: &Template,
    ) -> Failure {
        let message = match self.evaluate(message, step, "message") {
            Ok(Value::String(text)) => text,
            Ok(other) => other.to_string(),
            Err(failure) => return failure,
        };
        let failure = Failure::permanent(ErrorCode::StepFailed, message);
        match code {
            Some(code) => failure.with_details(json!({ "code": code })),
            None => failure,
        }
    }

    pub(super) fn complete(&mut self, cursor: &Cursor, output: Arc<Value>, flow: Flow) -> Flow {
        self.record(cursor, RecordStatus::Succeeded, Some(Arc::clone(&output)), None);
        self.set_step(&cursor.step, StepStatus::Succeeded, Some(output), None);
        self.set_attempts(cursor);
        let step = self.planned(&cursor.step);
        self.remember_done(cursor, &step);
        flow
    }

    /// Until when a wait lasts.
    fn instant(&self, step: &PlannedStep, work: &Work) -> Result<DateTime<Utc>, Failure> {
        match work {
            Work::WaitFor(duration) => {
                let value = self.evaluate(duration, step, "durationMs")?;
                let ms = value.as_u64().filter(|ms| *ms <= MAX_DURATION_MS);
                let ms = ms.ok_or_else(|| {
                    let wanted = format!("a whole number from 0 to {MAX_DURATION_MS}");
                    unusable("durationMs", &value, &wanted)
                });
                Ok(after(self.now, ms?))
            }
            Work::WaitUntil(until) => {
                let value = self.evaluate(until, step, "until")?;
                let instant = value.as_str().and_then(|text| text.parse().ok());
                instant.ok_or_else(|| {
                    unusable("until", &value, "an instant such as 2027-01-31T08:00:00Z")
                })
            }
            _ => Ok(self.now),
        }
    }

    fn begin_wait(&mut self, cursor: Cursor, until: DateTime<Utc>) -> Flow {
        self.set_step(&cursor.step, StepStatus::Waiting, None, None);
        self.set_attempts(&cursor);
        let cursor = Cursor { until: Some(until), ..cursor };
        if until <= self.now {
            return self.end_wait(&cursor);
        }
        self.wait_until(cursor, until)
    }

    /// The wait is over; its output says until when it was to last.
    pub(super) fn end_wait(&mut self, cursor: &Cursor) -> Flow {
        let step = self.planned(&cursor.step);
        match self.map_output(&step, json!({ "until": cursor.until })) {
            Ok(output) => {
                let flow = leave(&step, Some(Arc::clone(&output)));
                self.complete(cursor, output, flow)
            }
            Err(failure) => self.fail_unbegun(cursor, &step, &failure),
        }
    }
}

fn chosen(case: &Value, next: &str) -> (Arc<Value>, Flow) {
    let output = json!({ "case": case, "next": next });
    (Arc::new(output), Flow::Enter(next.to_owned()))
}

pub(super) fn unusable(field: &str, value: &Value, wanted: &str) -> Failure {
    let message = match value {
        Value::String(text) if text.len() <= 100 => format!("`{field}` is `{text}`, not {wanted}"),
        Value::Number(number) => format!("`{field}` is {number}, not {wanted}"),
        other => format!("`{field}` is {}, not {wanted}", kind_of(other)),
    };
    Failure::permanent(ErrorCode::ConfigInvalid, message)
}
