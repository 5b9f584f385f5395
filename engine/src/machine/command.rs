//! Wishes: what the driver does once the new state is durable, and what it writes with it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::children::Family;
use super::event::Fact;
use super::listening::Subscription;
use super::state::ExecutionStatus;
use crate::failure::Failure;
use crate::plan::PlannedStep;
use crate::suspension::Resumption;

/// A wish of the core.
#[derive(Debug)]
pub enum Command {
    /// Append this to the history, in the same commit as the state.
    Record(AttemptRecord),
    /// Begin an attempt.
    StartAttempt(StartAttempt),
    /// Begin executions that this one waits for, in the same commit as the state.
    StartChildren(Box<Family>),
    /// Tell those of a visit's children that have not ended, in the same commit as the state.
    TellChildren {
        /// The visit that began them.
        visit: u32,
        /// What they are told.
        fact: Fact,
    },
    /// Be found when a message comes, from the same commit on; then look whether it has come before.
    Listen(Box<Subscription>),
    /// Be found no more.
    StopListening {
        /// The visit that began it.
        visit: u32,
        /// The message that was waited for.
        by: Option<Uuid>,
    },
    /// A signal has been taken in, and more are waited for.
    Consume(Uuid),
    /// Send an event, in the same commit as the state.
    Emit {
        /// Its id.
        id: Uuid,
        /// Its name.
        name: String,
        /// What it says.
        data: Arc<Value>,
    },
    /// Come back at this instant.
    WakeAt(DateTime<Utc>),
    /// The execution has ended.
    FinishExecution {
        /// How.
        status: ExecutionStatus,
        /// With what, if it succeeded.
        output: Option<Arc<Value>>,
        /// Why, if it did not.
        failure: Option<Failure>,
    },
}

/// An attempt to begin.
#[derive(Clone, Debug)]
pub struct StartAttempt {
    /// The step.
    pub step: Arc<PlannedStep>,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The step's `config` with every expression replaced by its value.
    pub config: Value,
    /// The bound of the attempt's wall clock, in milliseconds.
    pub timeout_ms: u64,
    /// What the step left behind when it last suspended itself.
    pub resumption: Option<Arc<Resumption>>,
}

/// One line of an execution's history: an attempt that ended, or a step that was skipped.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// Position in the history, from 1.
    pub sequence: u32,
    /// The step's id.
    pub step_id: String,
    /// The attempt's number, from 1; 0 for a skipped step.
    pub attempt: u32,
    /// How it ended.
    pub status: RecordStatus,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// The step's output, if it succeeded.
    pub output: Option<Arc<Value>>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordStatus {
    /// With an output.
    Succeeded,
    /// With a failure.
    Failed,
    /// It never ran: `when` was false.
    Skipped,
    /// It was stopped with its execution.
    Cancelled,
    /// The step goes on later, in another attempt.
    Suspended,
}

impl RecordStatus {
    /// The status as it is written everywhere, such as `succeeded`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Suspended => "suspended",
        }
    }
}
