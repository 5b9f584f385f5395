//! What is remembered of an execution between two facts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::children::Item;
use super::listening::Listening;
use super::surroundings::Surroundings;
use super::unwinding::{Undoable, Unwinding};
use crate::callback::CallbackKey;
use crate::failure::Failure;
use crate::plan::Plan;
use crate::suspension::{Note, Resumption};
use crate::trace::TraceParent;

/// An execution with everything that a decision about it needs.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Its id: a `UUIDv7`, so that ids order by time.
    pub id: Uuid,
    /// The version that it runs.
    pub plan: Arc<Plan>,
    /// What it was started with; in a block, what the execution around it was started with.
    pub input: Arc<Value>,
    /// What is around the block that it runs, if it runs one.
    pub around: Option<Arc<Surroundings>>,
    /// The item that it runs a block for.
    pub item: Option<Item>,
    /// What wait tokens are made with.
    pub callbacks: CallbackKey,
    /// Its trace is recorded.
    pub sampled: bool,
    /// What changes.
    pub state: State,
}

impl Execution {
    /// The id of the execution that it is a part of; its own, if it is no block's.
    pub fn root_id(&self) -> Uuid {
        self.around.as_ref().map_or(self.id, |around| around.root)
    }

    /// The places of the items that it is run for, the outermost first.
    pub fn items(&self) -> Vec<u32> {
        let around = self.around.iter().flat_map(|around| &around.path).copied();
        around.chain(self.item.as_ref().map(|item| item.index)).collect()
    }
}

/// The part of an execution that changes. Stored as JSON, without the outputs: those are in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Where the execution is in its life.
    pub status: ExecutionStatus,
    /// Where it is in its definition; `None` before the start and after the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// The steps that it has come to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: Steps,
    /// `error` in scope: set on an `onError` path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// How many lines its history has.
    #[serde(default)]
    pub records: u32,
    /// When it must be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<DateTime<Utc>>,
    /// It is to rest, or does: nothing is begun while this is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// The step at which it failed or was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<String>,
    /// Where it came from, if it does not begin at its definition's first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
    /// How often it has begun to wait for others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub visits: u32,
    /// How many executions are above it that have called the next one as a workflow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// What started it, if nobody asked for it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Arc<Value>>,
    /// The span of whoever has started it, if they said so: it goes on in their trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// The events that it has taken in last, by name: none of them is taken in twice.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heard: BTreeMap<String, Vec<Uuid>>,
    /// What can be undone, in the order in which it was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo: Vec<Undoable>,
    /// It is being undone, and ends then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwinding: Option<Box<Unwinding>>,
    /// Something of it was undone: its outputs are not to be built on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// It has failed in a way that its author does not want looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unremarkable: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// An execution that begins in the middle, with what another had found out by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fork {
    /// The other execution.
    pub of: Uuid,
    /// The step that it begins with.
    pub from_step: String,
}

/// What a fork takes over of a step: the last line of the step's history.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The step's id.
    pub step: String,
    /// How its last attempt ended.
    pub status: StepStatus,
    /// That attempt's number.
    pub attempt: u32,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// Why an execution rests, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// What was said, or what happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was asked for.
    pub since: DateTime<Utc>,
}

/// The steps' states by id.
pub type Steps = BTreeMap<String, StepState>;

impl State {
    /// A new execution's state.
    pub fn new(created_at: DateTime<Utc>, deadline_ms: Option<u64>) -> Self {
        Self {
            status: ExecutionStatus::Pending,
            cursor: None,
            steps: Steps::new(),
            error: None,
            records: 0,
            deadline_at: deadline_ms.map(|ms| after(created_at, ms)),
            pause: None,
            stopped_at: None,
            fork: None,
            visits: 0,
            depth: 0,
            trigger: None,
            trace: None,
            heard: BTreeMap::new(),
            undo: Vec::new(),
            unwinding: None,
            undone: false,
            unremarkable: false,
        }
    }

    /// The state of an execution that begins with a step of a fork, after so many lines of history. What is kept is in the
    /// order of the history: the last step that failed, and was not stopped by it, is the `error` in scope.
    pub fn forked(self, fork: Fork, records: u32, kept: Vec<Kept>) -> Self {
        let mut state = Self { fork: Some(fork), records, ..self };
        for it in kept {
            let error =
                it.failure.as_ref().map(|failure| error_value(failure, &it.step, it.attempt));
            if it.status == StepStatus::Failed {
                state.error.clone_from(&error);
            }
            let step = StepState { status: it.status, attempts: it.attempt, error, output: None };
            state.steps.insert(it.step, step);
        }
        state
    }

    /// When there is something to do without anybody asking for it; `None` if that is now.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        let until = match self.status {
            ExecutionStatus::Waiting => self.cursor.as_ref()?.until?,
            ExecutionStatus::Paused => DateTime::<Utc>::MAX_UTC,
            _ => return None,
        };
        Some(self.deadline_at.map_or(until, |deadline| deadline.min(until)))
    }

    /// Puts the outputs back that the stored form leaves out.
    pub fn restore_outputs(&mut self, outputs: impl Iterator<Item = (String, Value)>) {
        for (id, output) in outputs {
            if let Some(step) = self.steps.get_mut(&id)
                && step.status == StepStatus::Succeeded
            {
                step.output = Some(Arc::new(output));
            }
        }
    }
}

/// An instant so many milliseconds later; the far future if that is out of range.
pub(crate) fn after(instant: DateTime<Utc>, ms: u64) -> DateTime<Utc> {
    i64::try_from(ms)
        .ok()
        .and_then(Duration::try_milliseconds)
        .and_then(|duration| instant.checked_add_signed(duration))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Where an execution is in its definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cursor {
    /// The step.
    pub step: String,
    /// The number of the attempt under way, or of the one that follows the wait.
    pub attempt: u32,
    /// When the attempt under way was begun.
    pub started_at: DateTime<Utc>,
    /// When this visit to the step began: `budgetMs` counts from here.
    pub visited_at: DateTime<Utc>,
    /// Attempts of this visit that failed.
    #[serde(default)]
    pub failed: u32,
    /// Attempts of this visit whose worker was lost.
    #[serde(default)]
    pub lost: u32,
    /// Set while the execution waits for its next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Set while the execution waits for others; `until` is then how long at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaited: Option<Awaited>,
    /// What the step left behind when it last suspended itself: its attempts are given it until one of them does so again, or
    /// the visit ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumption: Option<Arc<Resumption>>,
    /// How far the attempt under way, or the one before, says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

/// Whom an execution waits for. What tells of them is a fact in its inbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "camelCase")]
pub enum Awaited {
    /// Executions that it has begun.
    Children {
        /// The visit to a step that began them: numbers them apart from all others of the execution.
        visit: u32,
        /// How many there are.
        total: u32,
    },
    /// A message from outside.
    Message(Box<Listening>),
}

impl Cursor {
    /// A visit to a step that begins now.
    pub fn at(step: String, attempt: u32, now: DateTime<Utc>) -> Self {
        Self {
            step,
            attempt,
            started_at: now,
            visited_at: now,
            failed: 0,
            lost: 0,
            until: None,
            awaited: None,
            resumption: None,
            note: None,
        }
    }

    /// The visit and the number of the children that it waits for.
    pub fn children(&self) -> Option<(u32, u32)> {
        match self.awaited {
            Some(Awaited::Children { visit, total }) => Some((visit, total)),
            _ => None,
        }
    }

    /// Whether its step has suspended itself, or goes on after it did.
    pub fn is_suspended(&self) -> bool {
        self.resumption.is_some()
    }

    /// What it listens for.
    pub fn listening(&self) -> Option<&Listening> {
        match &self.awaited {
            Some(Awaited::Message(listening)) => Some(listening),
            _ => None,
        }
    }
}

/// What is known of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepState {
    /// Where it is in its life.
    pub status: StepStatus,
    /// Attempts begun, over all visits.
    #[serde(default)]
    pub attempts: u32,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// The output, if it succeeded.
    #[serde(skip)]
    pub output: Option<Arc<Value>>,
}

impl StepState {
    pub(super) fn new() -> Self {
        Self { status: StepStatus::Pending, attempts: 0, error: None, output: None }
    }
}

/// Where an execution is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExecutionStatus {
    /// Not begun.
    Pending,
    /// An attempt is under way.
    Running,
    /// Between two attempts, or at a wait.
    Waiting,
    /// It rests until somebody wants it to go on.
    Paused,
    /// Ended well.
    Succeeded,
    /// Ended with a failure.
    Failed,
    /// Ended by request.
    Cancelled,
}

impl ExecutionStatus {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing but a retry leads out of it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The status as it is written everywhere, such as `succeeded`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a step is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepStatus {
    /// Not begun in this round.
    Pending,
    /// An attempt is under way.
    Running,
    /// Between two attempts.
    Waiting,
    /// It has an output.
    Succeeded,
    /// All attempts failed.
    Failed,
    /// `when` was false.
    Skipped,
    /// Stopped with its execution.
    Cancelled,
}

impl StepStatus {
    /// The status as it is written everywhere, such as `succeeded`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// `error` as expressions see it, and as the step's record keeps it.
pub(super) fn error_value(failure: &Failure, step: &str, attempt: u32) -> Value {
    let mut error = serde_json::json!({
        "code": failure.code, "message": failure.message, "step": step, "attempt": attempt,
    });
    error["details"] = failure.details.clone().unwrap_or(Value::Null);
    error
}
