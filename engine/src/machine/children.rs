//! Executions that an execution begins and waits for: the branches of a `parallel`, the items of a `map`, the one that a
//! `workflow` step calls. To the machine they are all the same: a family, of which it hears once.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Rejection;
use super::command::Command;
use super::event::Fact;
use super::state::{Awaited, Cursor, StepStatus, after};
use super::surroundings::Surroundings;
use super::turn::{Flow, Turn, kind_of};
use crate::control::{MAX_ITEMS, Tolerance, block_name};
use crate::definition::MAX_PAYLOAD_BYTES;
use crate::expression::Template;
use crate::failure::{ErrorCode, Failure};
use crate::labels::{self, Labels};
use crate::plan::{Children, Fan, PlannedStep, Work};
use crate::trace::TraceParent;

/// How many workflows may call one another in a row.
pub const MAX_CALL_DEPTH: u32 = 32;
/// How many failed children a failure names.
pub const MAX_NAMED_FAILURES: usize = 10;

/// What a block's step is run for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The item, or the list of items of a batch.
    pub value: Arc<Value>,
    /// Its place in the list, from 0.
    pub index: u32,
}

/// A family to begin.
#[derive(Clone, Debug)]
pub struct Family {
    /// The visit that begins it.
    pub visit: u32,
    /// The step that it is for.
    pub step: String,
    /// Its members; a member's ordinal is its place.
    pub children: Vec<Child>,
    /// How many may be under way at once.
    pub concurrency: u32,
    /// The parent hears of it when all have ended, or when more than this many have failed.
    pub stop_over: u32,
    /// What blocks see.
    pub around: Option<Surroundings>,
    /// The workflow that is called, if it is not a block.
    pub call: Option<Called>,
    /// When its members must be over.
    pub deadline_at: Option<DateTime<Utc>>,
    /// The members' [`State::depth`](super::State::depth).
    pub depth: u32,
    /// The members' [`State::trigger`](super::State::trigger).
    pub trigger: Option<Arc<Value>>,
    /// The members' [`State::trace`](super::State::trace), if they are not blocks: those have it in what is around them.
    pub trace: Option<TraceParent>,
}

/// A member of a family.
#[derive(Clone, Debug)]
pub struct Child {
    /// Its id.
    pub id: Uuid,
    /// The block that it runs.
    pub block: Option<String>,
    /// Its item, or its input.
    pub input: Arc<Value>,
}

/// A call of another workflow.
#[derive(Clone, Debug)]
pub struct Called {
    /// Its name.
    pub workflow: String,
    /// The version; the newest, if there is none.
    pub version: Option<i32>,
    /// Nobody waits for its end: the parent goes on when it has begun.
    pub detached: bool,
    /// Its labels, if they are not those of `labels_of`.
    pub labels: Option<Labels>,
    /// The execution whose labels it takes over: its parent, or the one that its parent is a part of.
    pub labels_of: Uuid,
}

/// What came of a family.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It ended, or enough of it.
    Ended(Outcomes),
    /// It could not begin.
    Refused(Failure),
}

/// How a family's members ended.
#[derive(Clone, Debug, Default)]
pub struct Outcomes {
    /// How many ended.
    pub ended: u32,
    /// How many of those did not end well.
    pub failed: u32,
    /// The bytes of all outputs.
    pub output_bytes: usize,
    /// The outputs by ordinal, `None` where there is none; empty if they are more than an output may have, or not wanted.
    pub outputs: Vec<Option<Value>>,
    /// The first that failed, by ordinal: at most [`MAX_NAMED_FAILURES`].
    pub failures: Vec<ChildFailure>,
}

/// A member that did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildFailure {
    /// Its place in the family.
    pub ordinal: u32,
    /// Its id.
    pub id: Uuid,
    /// Why.
    pub failure: Failure,
}

/// A child's id: the same whenever the same visit is computed again, and ordered by ordinal within the visit.
///
/// Source of the layout: RFC 9562, section 5.7. The 12 bits after the version and the 4 after the variant hold the
/// ordinal; the remaining 58 are a name-based hash (section 5.5) of the parent and the visit.
pub fn child_id(parent: Uuid, visit: u32, ordinal: u32, at: DateTime<Utc>) -> Uuid {
    let name = Uuid::new_v5(&parent, &[visit.to_be_bytes(), ordinal.to_be_bytes()].concat());
    let ms = u64::try_from(at.timestamp_millis()).unwrap_or(0) & 0xffff_ffff_ffff;
    let ordinal = u64::from(ordinal);
    let high = ms << 16 | 0x7000 | (ordinal >> 4 & 0xfff);
    let low = 0b10 << 62 | (ordinal & 0xf) << 58 | name.as_u64_pair().1 & 0x03ff_ffff_ffff_ffff;
    Uuid::from_u64_pair(high, low)
}

impl Turn<'_> {
    pub(super) fn begin_children(
        &mut self,
        cursor: Cursor,
        step: &PlannedStep,
        children: &Children,
    ) -> Flow {
        let visit = self.state.visits + 1;
        match self.family(&cursor, step, children, visit) {
            Ok(family) if family.children.is_empty() => {
                self.settle(cursor, step, children, 0, Outcomes::default())
            }
            Ok(family) => {
                self.state.visits = visit;
                let total = u32::try_from(family.children.len()).unwrap_or(u32::MAX);
                let until = Some(after(self.now, step.step.wait_timeout_ms()));
                self.commands.push(Command::StartChildren(Box::new(family)));
                self.set_step(&cursor.step, StepStatus::Running, None, None);
                self.set_attempts(&cursor);
                let awaited = Some(Awaited::Children { visit, total });
                self.await_others(Cursor { until, awaited, ..cursor })
            }
            Err(failure) => self.fail_children(cursor, &failure),
        }
    }

    /// The family that a step begins.
    fn family(
        &self,
        cursor: &Cursor,
        step: &PlannedStep,
        children: &Children,
        visit: u32,
    ) -> Result<Family, Failure> {
        let (inputs, concurrency) = match &children.fan {
            Fan::Branches { names, .. } => (vec![Arc::default(); names.len()], u32::MAX),
            Fan::Items { items, concurrency, batch_size, .. } => {
                (self.items(step, items, *batch_size)?, *concurrency)
            }
            Fan::Call { input, .. } => (vec![self.call_input(step, input.as_ref())?], 1),
        };
        let total = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
        let called = self.called(step, &children.fan)?;
        let members = inputs.into_iter().zip(0..).map(|(input, ordinal)| Child {
            id: child_id(self.execution.id, visit, ordinal, cursor.started_at),
            block: children.fan.block(&cursor.step, ordinal),
            input,
        });
        Ok(Family {
            visit,
            step: cursor.step.clone(),
            children: members.collect(),
            concurrency,
            stop_over: children.fan.stop_over(total),
            around: called.is_none().then(|| self.surroundings(cursor, &children.captures)),
            depth: self.state.depth + u32::from(called.is_some()),
            // A child that nobody waits for outlives its parent.
            deadline_at: self.state.deadline_at.filter(|_| !children.fan.is_detached()),
            trigger: called.as_ref().map_or_else(
                || self.state.trigger.clone(),
                |_| Some(Arc::new(json!({ "type": "workflow", "executionId": self.execution.id }))),
            ),
            trace: called.as_ref().map(|_| self.execution.visit_trace(cursor)),
            call: called,
        })
    }

    /// What the children of a map are run for.
    fn items(
        &self,
        step: &PlannedStep,
        items: &Template,
        batch_size: Option<u32>,
    ) -> Result<Vec<Arc<Value>>, Failure> {
        let items = match self.evaluate(items, step, "items")? {
            Value::Array(items) => items,
            other => {
                let message = format!("`items` is {}, not a list", kind_of(&other));
                return Err(Failure::permanent(ErrorCode::ConfigInvalid, message));
            }
        };
        if items.len() > MAX_ITEMS {
            let message = format!(
                "`items` has {} items, the limit is {MAX_ITEMS}: hand the steps lists of them, made by an earlier step",
                items.len()
            );
            return Err(Failure::permanent(ErrorCode::ConfigInvalid, message));
        }
        let Some(size) = batch_size else { return Ok(items.into_iter().map(Arc::new).collect()) };
        let batches = items.chunks(size as usize);
        Ok(batches.map(|batch| Arc::new(Value::Array(batch.to_vec()))).collect())
    }

    fn call_input(
        &self,
        step: &PlannedStep,
        input: Option<&Template>,
    ) -> Result<Arc<Value>, Failure> {
        if self.state.depth >= MAX_CALL_DEPTH {
            let message = format!(
                "more than {MAX_CALL_DEPTH} workflows call one another in a row: does one call itself for ever?"
            );
            return Err(Failure::permanent(ErrorCode::ConfigInvalid, message));
        }
        let Some(input) = input else { return Ok(Arc::new(Value::Object(Map::new()))) };
        self.evaluate(input, step, "input").map(Arc::new)
    }

    fn called(&self, step: &PlannedStep, fan: &Fan) -> Result<Option<Called>, Failure> {
        let Fan::Call { workflow, version, wait, labels, .. } = fan else { return Ok(None) };
        let labels = match labels {
            Some(labels) => Some(
                labels::from_json(self.evaluate(labels, step, "labels")?)
                    .map_err(|message| Failure::permanent(ErrorCode::ConfigInvalid, message))?,
            ),
            None => None,
        };
        Ok(Some(Called {
            workflow: workflow.clone(),
            version: *version,
            detached: !wait,
            labels,
            labels_of: self.execution.root_id(),
        }))
    }

    /// The family has ended, as far as its step wants it to.
    pub(super) fn end_children(&mut self, visit: u32, outcome: Outcome) -> Result<Flow, Rejection> {
        if self.state.unwinding.is_some() {
            return self.go_on_unwinding(visit, outcome);
        }
        // They have the same deadline, and may have been told of it first.
        let failed = matches!(&outcome, Outcome::Ended(outcomes) if outcomes.failed > 0);
        if failed && self.state.deadline_at.is_some_and(|deadline| deadline <= self.now) {
            return Ok(self.pass_deadline());
        }
        let step = self.state.cursor.as_ref().map(|cursor| self.planned(&cursor.step));
        let awaited = |cursor: &mut Cursor| cursor.children().is_some_and(|it| it.0 == visit);
        let cursor = self.state.cursor.take_if(awaited).ok_or(Rejection::NotAwaited { visit })?;
        let step = step.ok_or(Rejection::NotAwaited { visit })?;
        let Work::Children(children) = &step.work else {
            return Err(Rejection::NotAwaited { visit });
        };
        Ok(match outcome {
            Outcome::Refused(failure) => self.fail_children(cursor, &failure),
            Outcome::Ended(outcomes) => {
                let total = cursor.children().map_or(0, |it| it.1);
                self.settle(cursor, &step, children, total, outcomes)
            }
        })
    }

    fn settle(
        &mut self,
        cursor: Cursor,
        step: &PlannedStep,
        children: &Children,
        total: u32,
        outcomes: Outcomes,
    ) -> Flow {
        if outcomes.ended < total && !children.fan.is_detached() {
            self.tell(&cursor, &Fact::Cancel { reason: Some("another child failed".to_owned()) });
        }
        let result = if children.fan.is_detached() {
            Ok(self.detached_child(&cursor))
        } else {
            result_of(&children.fan, total, outcomes)
        };
        match result.and_then(|raw| self.map_output(step, raw)) {
            Ok(output) => {
                let flow = super::turn::leave(step, Some(Arc::clone(&output)));
                self.set_attempts(&cursor);
                self.complete(&cursor, output, flow)
            }
            Err(failure) => {
                // What its children have done is undone, as if each had failed itself.
                if children.undoable {
                    self.tell(&cursor, &Fact::Undo);
                }
                self.fail_children(cursor, &failure)
            }
        }
    }

    fn detached_child(&self, cursor: &Cursor) -> Value {
        let visit = cursor.children().map_or(0, |it| it.0);
        json!({ "executionId": child_id(self.execution.id, visit, 0, cursor.started_at) })
    }

    /// The step's time is over, and its children's with it.
    pub(super) fn time_out(&mut self, cursor: Cursor) -> Flow {
        let timeout_ms = self.planned(&cursor.step).step.wait_timeout_ms();
        let message = format!("the children did not end within `timeoutMs`, {timeout_ms} ms");
        self.tell(&cursor, &Fact::Cancel { reason: Some(message.clone()) });
        self.fail_children(cursor, &Failure::permanent(ErrorCode::Timeout, message))
    }

    fn fail_children(&mut self, cursor: Cursor, failure: &Failure) -> Flow {
        self.set_attempts(&cursor);
        let cursor = Cursor { failed: cursor.failed + 1, awaited: None, until: None, ..cursor };
        self.fail_with(cursor, failure, 0.0)
    }

    /// Tells the children that the cursor waits for, if it waits for any.
    pub(super) fn tell_children(&mut self, fact: &Fact) {
        if let Some(cursor) = self.state.cursor.clone() {
            self.tell(&cursor, fact);
        }
    }

    pub(super) fn tell(&mut self, cursor: &Cursor, fact: &Fact) {
        if let Some((visit, _)) = cursor.children() {
            self.commands.push(Command::TellChildren { visit, fact: fact.clone() });
        }
    }
}

/// What a step gives when its children have ended.
fn result_of(fan: &Fan, total: u32, outcomes: Outcomes) -> Result<Value, Failure> {
    let Outcomes { failed, output_bytes, outputs, failures, .. } = outcomes;
    if failed > fan.tolerated(total) {
        return Err(child_failure(fan, total, failed, &failures));
    }
    if fan.collects() && output_bytes > MAX_PAYLOAD_BYTES {
        let message = format!(
            "the outputs have {output_bytes} bytes together, the limit is {MAX_PAYLOAD_BYTES}: let `output` give less, \
             or do not `collect`"
        );
        return Err(Failure::permanent(ErrorCode::OutputTooLarge, message));
    }
    let mut outputs = outputs.into_iter().map(Option::unwrap_or_default);
    Ok(match fan {
        Fan::Branches { names, .. } => Value::Object(names.iter().cloned().zip(outputs).collect()),
        Fan::Items { collect: true, .. } => Value::Array(outputs.collect()),
        Fan::Items { .. } => {
            json!({ "total": total, "succeeded": total - failed.min(total), "failed": failed })
        }
        Fan::Call { .. } => outputs.next().unwrap_or_default(),
    })
}

fn child_failure(fan: &Fan, total: u32, failed: u32, failures: &[ChildFailure]) -> Failure {
    let first = failures.first().map(|it| it.failure.to_string()).unwrap_or_default();
    let message = match fan {
        Fan::Call { workflow, .. } => format!("workflow `{workflow}` failed: {first}"),
        _ => format!("{failed} of {total} failed, the first with {first}"),
    };
    let named = failures.iter().map(|it| {
        json!({ "name": fan.name(it.ordinal), "executionId": it.id, "code": it.failure.code, "message": it.failure.message })
    });
    let details =
        json!({ "total": total, "failed": failed, "failures": named.collect::<Vec<_>>() });
    Failure::permanent(ErrorCode::ChildFailed, message).with_details(details)
}

impl Fan {
    /// How many may fail.
    fn tolerated(&self, total: u32) -> u32 {
        match self {
            Self::Items { tolerated, .. } => Tolerance::of(tolerated, total),
            Self::Branches { .. } | Self::Call { .. } => 0,
        }
    }

    /// The parent need not wait for the others when more than so many have failed.
    fn stop_over(&self, total: u32) -> u32 {
        match self {
            Self::Branches { fail_fast: false, .. } => total,
            _ => self.tolerated(total),
        }
    }

    /// Whether the step gives its children's outputs.
    pub fn collects(&self) -> bool {
        !matches!(self, Self::Items { collect: false, .. }) && !self.is_detached()
    }

    fn is_detached(&self) -> bool {
        matches!(self, Self::Call { wait: false, .. })
    }

    /// The block of a child.
    fn block(&self, step: &str, ordinal: u32) -> Option<String> {
        match self {
            Self::Branches { names, .. } => {
                Some(block_name(step, names.get(ordinal as usize).map(String::as_str)))
            }
            Self::Items { .. } => Some(block_name(step, None)),
            Self::Call { .. } => None,
        }
    }

    /// What people call a child: its branch, its place in the list, its workflow.
    fn name(&self, ordinal: u32) -> Value {
        match self {
            Self::Branches { names, .. } => names.get(ordinal as usize).cloned().into(),
            Self::Items { .. } => ordinal.into(),
            Self::Call { workflow, .. } => workflow.clone().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_children_are_version_7_and_ordered_by_ordinal() {
        let at = DateTime::from_timestamp_millis(1_795_000_000_123).unwrap();
        let parent = Uuid::from_u128(7);
        let ids: Vec<_> = (0..10_000).map(|ordinal| child_id(parent, 1, ordinal, at)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert!(ids.iter().all(|id| id.get_variant() == uuid::Variant::RFC4122));
        let (seconds, _) = ids[9_999].get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, 1_795_000_000);
        assert_eq!(ids[3], child_id(parent, 1, 3, at));
        assert_ne!(ids[3], child_id(parent, 2, 3, at));
        assert_ne!(ids[3], child_id(Uuid::from_u128(8), 1, 3, at));
    }
}
