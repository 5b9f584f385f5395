//! Facts, in the past tense.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::children::Outcome;
use crate::failure::Failure;
use crate::message::Message;
use crate::suspension::Suspension;

/// Something that happened to an execution.
#[derive(Clone, Debug)]
pub enum Event {
    /// A worker took the execution up for the first time.
    Started,
    /// The attempt under way gave a result.
    AttemptSucceeded {
        /// Its number.
        attempt: u32,
        /// The raw output.
        output: Value,
    },
    /// The attempt under way failed.
    AttemptFailed {
        /// Its number.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// Chance for the backoff, from 0 up to, not including, 1.
        chance: f64,
    },
    /// The attempt under way has ended, and its step is to go on later.
    AttemptSuspended {
        /// Its number.
        attempt: u32,
        /// What it leaves behind, and what it waits for.
        suspension: Box<Suspension>,
    },
    /// The attempt was wished for but not begun: its worker is going down.
    AttemptYielded,
    /// The attempt under way says how far it is.
    ProgressNoted {
        /// Its words.
        note: String,
    },
    /// The lease lapsed while an attempt was under way.
    LeaseExpired,
    /// The instant that the execution waited for has come.
    TimerDue,
    /// The children that it waits for have ended, or enough of them to go on.
    ChildrenEnded {
        /// The visit that began them.
        visit: u32,
        /// What came of them.
        outcome: Outcome,
    },
    /// A message has come: an event, or a signal.
    MessageReceived(Box<Message>),
    /// The execution that began this one has not succeeded: what it did is to be undone.
    UndoRequested,
    /// `deadlineMs` is over.
    DeadlinePassed,
    /// Somebody wants the execution to end.
    CancelRequested {
        /// What they said.
        reason: Option<String>,
    },
    /// Somebody wants an ended execution to run again, from its start, with the same input.
    RetryRequested,
    /// Somebody wants an ended execution to go on at a step, with the outputs that it has.
    RetryStepRequested {
        /// The step; without one, the step at which it stopped.
        step: Option<String>,
    },
    /// Somebody wants the execution to rest. An attempt under way is left to end.
    PauseRequested {
        /// What they said.
        reason: Option<String>,
    },
    /// Somebody wants a resting execution to go on.
    ResumeRequested,
}

/// The name of an event, without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// [`Event::Started`]
    Started,
    /// [`Event::AttemptSucceeded`]
    AttemptSucceeded,
    /// [`Event::AttemptFailed`]
    AttemptFailed,
    /// [`Event::AttemptSuspended`]
    AttemptSuspended,
    /// [`Event::AttemptYielded`]
    AttemptYielded,
    /// [`Event::ProgressNoted`]
    ProgressNoted,
    /// [`Event::LeaseExpired`]
    LeaseExpired,
    /// [`Event::TimerDue`]
    TimerDue,
    /// [`Event::ChildrenEnded`]
    ChildrenEnded,
    /// [`Event::MessageReceived`]
    MessageReceived,
    /// [`Event::UndoRequested`]
    UndoRequested,
    /// [`Event::DeadlinePassed`]
    DeadlinePassed,
    /// [`Event::CancelRequested`]
    CancelRequested,
    /// [`Event::RetryRequested`]
    RetryRequested,
    /// [`Event::RetryStepRequested`]
    RetryStepRequested,
    /// [`Event::PauseRequested`]
    PauseRequested,
    /// [`Event::ResumeRequested`]
    ResumeRequested,
}

impl EventKind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 17] = [
        Self::Started,
        Self::AttemptSucceeded,
        Self::AttemptFailed,
        Self::AttemptSuspended,
        Self::AttemptYielded,
        Self::ProgressNoted,
        Self::LeaseExpired,
        Self::TimerDue,
        Self::ChildrenEnded,
        Self::MessageReceived,
        Self::UndoRequested,
        Self::DeadlinePassed,
        Self::CancelRequested,
        Self::RetryRequested,
        Self::RetryStepRequested,
        Self::PauseRequested,
        Self::ResumeRequested,
    ];
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Event {
    /// Whether an attempt under way is left to end all the same.
    pub fn spares_the_attempt(&self) -> bool {
        matches!(self, Self::PauseRequested { .. } | Self::ResumeRequested)
    }

    /// The event's name.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Started => EventKind::Started,
            Self::AttemptSucceeded { .. } => EventKind::AttemptSucceeded,
            Self::AttemptFailed { .. } => EventKind::AttemptFailed,
            Self::AttemptSuspended { .. } => EventKind::AttemptSuspended,
            Self::AttemptYielded => EventKind::AttemptYielded,
            Self::ProgressNoted { .. } => EventKind::ProgressNoted,
            Self::LeaseExpired => EventKind::LeaseExpired,
            Self::TimerDue => EventKind::TimerDue,
            Self::ChildrenEnded { .. } => EventKind::ChildrenEnded,
            Self::MessageReceived(_) => EventKind::MessageReceived,
            Self::UndoRequested => EventKind::UndoRequested,
            Self::DeadlinePassed => EventKind::DeadlinePassed,
            Self::CancelRequested { .. } => EventKind::CancelRequested,
            Self::RetryRequested => EventKind::RetryRequested,
            Self::RetryStepRequested { .. } => EventKind::RetryStepRequested,
            Self::PauseRequested { .. } => EventKind::PauseRequested,
            Self::ResumeRequested => EventKind::ResumeRequested,
        }
    }
}

/// A fact from outside, as it lies in an execution's inbox until the lease holder reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Fact {
    /// Somebody wants the execution to end.
    Cancel {
        /// What they said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody wants the ended execution to run again.
    Retry,
    /// Somebody wants the ended execution to go on at a step.
    RetryStep {
        /// Which; without one, where it stopped.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
    },
    /// Somebody wants the execution to rest.
    Pause {
        /// What they said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody wants the execution to go on.
    Resume,
    /// What it did is to be undone.
    Undo,
    /// The children that a visit to a step began have ended, or enough of them; or they could not begin.
    ChildrenEnded {
        /// The visit.
        visit: u32,
        /// Why they could not begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refusal: Option<Failure>,
    },
    /// A message has come that it may be waiting for.
    Message {
        /// The message's id.
        id: Uuid,
    },
}

impl Fact {
    /// What has happened. Of children and messages the fact itself does not say enough: they may be large, and are read
    /// when it is taken in.
    pub fn event(self) -> Told {
        Told::Event(match self {
            Self::Cancel { reason } => Event::CancelRequested { reason },
            Self::Retry => Event::RetryRequested,
            Self::RetryStep { step } => Event::RetryStepRequested { step },
            Self::Pause { reason } => Event::PauseRequested { reason },
            Self::Resume => Event::ResumeRequested,
            Self::Undo => Event::UndoRequested,
            Self::ChildrenEnded { visit, refusal: Some(failure) } => {
                Event::ChildrenEnded { visit, outcome: Outcome::Refused(failure) }
            }
            Self::ChildrenEnded { visit, refusal: None } => return Told::Children { visit },
            Self::Message { id } => return Told::Message { id },
        })
    }
}

/// What a fact tells, and what has to be read before it is an event.
#[derive(Clone, Debug)]
pub enum Told {
    /// All there is to it.
    Event(Event),
    /// The children of a visit have ended.
    Children {
        /// The visit.
        visit: u32,
    },
    /// A message has come.
    Message {
        /// Its id.
        id: Uuid,
    },
}
