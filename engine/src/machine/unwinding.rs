//! Undoing: what a failed or cancelled execution has done is undone in reverse order, then `onFailure` runs, then it ends.
//!
//! What undoes a step is a block, run as a child: so it has attempts, retries and a record of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Rejection;
use super::children::{Child, Family, Outcome, child_id};
use super::command::Command;
use super::event::Fact;
use super::state::{Awaited, Cursor, ExecutionStatus, after, error_value};
use super::turn::{Flow, Turn};
use crate::control::{ON_FAILURE, compensation_name};
use crate::definition::DEFAULT_WAIT_TIMEOUT_MS;
use crate::failure::{ErrorCode, Failure, RetryAdvice};
use crate::plan::{Captures, PlannedStep, Work};

/// A step that can be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undoable {
    /// The step.
    pub step: String,
    /// The children that it has begun, if they can be undone themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<u32>,
}

/// How an execution ends once it is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unwinding {
    /// Its last status.
    pub status: ExecutionStatus,
    /// Why it ends.
    pub failure: Failure,
    /// `onFailure` is still to run.
    pub on_failure: bool,
    /// What could not be undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Value>,
}

impl Turn<'_> {
    /// Remembers a step that has succeeded, if it can be undone.
    pub(super) fn remember_done(&mut self, cursor: &Cursor, step: &PlannedStep) {
        let undoable = matches!(&step.work, Work::Children(children) if children.undoable);
        if step.compensation.is_none() && !undoable {
            return;
        }
        self.state.undo.retain(|it| it.step != cursor.step || it.visit.is_some());
        let visit = cursor.children().map(|it| it.0).filter(|_| undoable);
        self.state.undo.push(Undoable { step: cursor.step.clone(), visit });
    }

    /// Ends the execution, after what it has done is undone.
    pub(super) fn end_badly(&mut self, status: ExecutionStatus, failure: Failure) {
        let on_failure =
            status == ExecutionStatus::Failed && self.execution.plan.on_failure.is_some();
        if self.state.undo.is_empty() && !on_failure {
            return self.finish(status, None, Some(failure));
        }
        let at = self.state.stopped_at.clone().unwrap_or_default();
        let attempts = self.state.steps.get(&at).map_or(0, |step| step.attempts);
        self.state.error = Some(error_value(&failure, &at, attempts));
        // Undoing has its own limits, and goes on whatever was asked for before.
        self.state.deadline_at = None;
        self.state.pause = None;
        // Nobody asks it any more whether to try again, and it is not stored.
        let failure = failure.with_advice(RetryAdvice::Policy);
        let unwinding = Unwinding { status, failure, on_failure, left: Vec::new() };
        self.state.unwinding = Some(Box::new(unwinding));
        self.unwind();
    }

    /// Undoes the next step, or ends.
    fn unwind(&mut self) {
        while let Some(Undoable { step, visit }) = self.state.undo.pop() {
            self.state.undone = true;
            if let Some(visit) = visit {
                self.commands.push(Command::TellChildren { visit, fact: Fact::Undo });
            }
            let planned = self.planned(&step);
            if let Some(captures) = &planned.compensation {
                return self.begin_block(&step, compensation_name(&step), captures);
            }
        }
        let Some(unwinding) = self.state.unwinding.as_mut() else { return };
        let plan = &self.execution.plan;
        if let (true, Some(captures)) = (unwinding.on_failure, &plan.on_failure) {
            unwinding.on_failure = false;
            return self.begin_block("onFailure", ON_FAILURE.to_owned(), captures);
        }
        self.end_unwound();
    }

    fn end_unwound(&mut self) {
        let Some(unwinding) = self.state.unwinding.take() else { return };
        let Unwinding { status, mut failure, left, .. } = *unwinding;
        if !left.is_empty() {
            let details = failure.details.take().unwrap_or(Value::Null);
            failure.details = Some(json!({ "cause": details, "notUndone": left }));
        }
        self.finish(status, None, Some(failure));
    }

    fn begin_block(&mut self, step: &str, block: String, captures: &Captures) {
        self.state.visits += 1;
        let visit = self.state.visits;
        let id = child_id(self.execution.id, visit, 0, self.now);
        let child = Child { id, block: Some(block), input: Arc::default() };
        let attempts = self.state.steps.get(step).map_or(0, |step| step.attempts);
        let cursor = Cursor::at(step.to_owned(), attempts, self.now);
        self.commands.push(Command::StartChildren(Box::new(Family {
            visit,
            step: step.to_owned(),
            children: vec![child],
            concurrency: 1,
            stop_over: 0,
            around: Some(self.surroundings(&cursor, captures)),
            call: None,
            deadline_at: None,
            depth: self.state.depth,
            trigger: self.state.trigger.clone(),
            trace: None,
        })));
        self.await_others(Cursor {
            until: Some(after(self.now, DEFAULT_WAIT_TIMEOUT_MS)),
            awaited: Some(Awaited::Children { visit, total: 1 }),
            ..cursor
        });
    }

    /// A block has ended; what it could not do is noted, and the others are undone all the same.
    pub(super) fn go_on_unwinding(
        &mut self,
        visit: u32,
        outcome: Outcome,
    ) -> Result<Flow, Rejection> {
        let awaited = |cursor: &mut Cursor| cursor.children().is_some_and(|it| it.0 == visit);
        let cursor = self.state.cursor.take_if(awaited).ok_or(Rejection::NotAwaited { visit })?;
        let failed = match outcome {
            Outcome::Refused(failure) => Some(json!({ "failure": failure })),
            Outcome::Ended(outcomes) => outcomes
                .failures
                .first()
                .map(|it| json!({ "executionId": it.id, "failure": it.failure })),
        };
        self.note_left(&cursor.step, failed);
        self.unwind();
        Ok(Flow::Settled)
    }

    /// A block takes too long.
    pub(super) fn give_up_block(&mut self, cursor: &Cursor) -> Flow {
        let message = format!("it took longer than {DEFAULT_WAIT_TIMEOUT_MS} ms");
        let failure = Failure::permanent(ErrorCode::Timeout, message);
        self.tell(cursor, &Fact::Cancel { reason: Some(failure.message.clone()) });
        self.note_left(&cursor.step, Some(json!({ "failure": failure })));
        self.unwind();
        Flow::Settled
    }

    fn note_left(&mut self, step: &str, failed: Option<Value>) {
        if let (Some(unwinding), Some(mut failed)) = (self.state.unwinding.as_mut(), failed) {
            failed["step"] = json!(step);
            unwinding.left.push(failed);
        }
    }

    /// Somebody does not want to wait for the rest: it ends as it is.
    pub(super) fn stop_unwinding(&mut self) -> Flow {
        let reason = Some("the undoing was cancelled".to_owned());
        self.tell_children(&Fact::Cancel { reason });
        let undone = std::mem::take(&mut self.state.undo).into_iter().map(|it| it.step);
        let at = self.state.cursor.take().map(|cursor| cursor.step);
        for step in at.into_iter().chain(undone.rev()) {
            self.note_left(&step, Some(json!({ "failure": "cancelled" })));
        }
        self.end_unwound();
        Flow::Settled
    }

    /// Undoes an execution that has succeeded, because the one that began it has not.
    pub(super) fn undo(&mut self) -> Result<Flow, Rejection> {
        if self.state.undo.is_empty() {
            return Err(Rejection::NothingToUndo);
        }
        let message = "undone, because the execution that began it did not succeed";
        let failure = Failure::permanent(ErrorCode::Cancelled, message);
        self.end_badly(ExecutionStatus::Cancelled, failure);
        Ok(Flow::Settled)
    }
}
