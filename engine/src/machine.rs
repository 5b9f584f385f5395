//! The state machine of one execution: facts in, the next state and wishes out. No I/O, no clock, no chance.
//!
//! [`transition`] is the whole of it. Read the table in [`Turn::apply`] first; `docs/state-machine.md` is
//! generated from it.

mod children;
mod command;
mod control;
mod event;
mod failing;
mod listening;
mod objection;
mod recovery;
mod state;
mod surroundings;
mod suspending;
mod turn;
mod unwinding;

pub use children::{
    Called, Child, ChildFailure, Family, Item, MAX_CALL_DEPTH, MAX_NAMED_FAILURES, Outcome,
    Outcomes, child_id,
};
pub use command::{AttemptRecord, Command, RecordStatus, StartAttempt};
pub use event::{Event, EventKind, Fact, Told};
pub use listening::{Asked, Decision, Listening, MAX_PERSON_BYTES, NotAsked, Subscription};
pub use objection::Objection;
pub use state::{
    Awaited, Cursor, Execution, ExecutionStatus, Fork, Kept, Pause, State, StepState, StepStatus,
    Steps,
};

pub use surroundings::Surroundings;
pub use unwinding::{Undoable, Unwinding};

use chrono::{DateTime, Utc};

use turn::Turn;

/// The most attempts and skips that one execution may record.
pub const MAX_RECORDS: u32 = 50_000;

/// What follows from a fact.
#[derive(Debug)]
pub struct Transition {
    /// The state that has to be durable before any of the commands is carried out.
    pub state: State,
    /// What to do then, in order.
    pub commands: Vec<Command>,
}

impl Transition {
    /// Whether it does nothing but begin an attempt: nothing is remembered that whoever comes next could not derive
    /// again from the state before it.
    pub fn only_begins(&self) -> bool {
        matches!(self.commands.as_slice(), [Command::StartAttempt(_)])
    }
}

/// Why a fact does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The execution has ended; terminal statuses absorb.
    #[error("the execution has already {status}")]
    Ended {
        /// How it ended.
        status: ExecutionStatus,
    },
    /// The fact makes no sense in this status.
    #[error("{event} does not apply to an execution that is {status}")]
    NotApplicable {
        /// The status.
        status: ExecutionStatus,
        /// The fact's name.
        event: EventKind,
    },
    /// The fact is about another attempt than the one under way.
    #[error("attempt {reported} of the step is over; attempt {current} is under way")]
    OtherAttempt {
        /// The attempt that the fact is about.
        reported: u32,
        /// The attempt under way.
        current: u32,
    },
    /// The fact is about children that it does not wait for.
    #[error("the execution does not wait for the children of visit {visit}")]
    NotAwaited {
        /// The visit that began them.
        visit: u32,
    },
    /// It listens for nothing, or for another message.
    #[error("the execution does not wait for this message")]
    NotListening,
    /// It has done nothing that can be undone.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// What it did was undone: it cannot go on from there.
    #[error("what the execution did was undone: retry it from its start")]
    Undone,
    /// It is to go on where it stopped, and it stopped at no step.
    #[error("the execution did not stop at a step: name one to go on at")]
    StoppedNowhere,
    /// The fact is about a step that there is not.
    #[error("there is no step `{step}` to go on at")]
    NoSuchStep {
        /// The step.
        step: String,
    },
}

/// The transition function: the next state and the commands, or why the fact does not apply.
pub fn transition(
    execution: &Execution,
    event: Event,
    now: DateTime<Utc>,
) -> Result<Transition, Rejection> {
    Turn::new(execution, now).apply(event)
}

/// The facts that a worker finds when it takes over an execution, in order: nobody told it what happened before.
///
/// A worker may begin an execution's first attempt before anything but its lease is durable ([`Transition::only_begins`]).
/// So if that lease was lost, an attempt may have been under way: the execution did start, and then its worker was gone.
pub fn on_claim(state: &State, lost: bool, now: DateTime<Utc>) -> Vec<Event> {
    let found = found(state, now);
    if lost && state.status == ExecutionStatus::Pending {
        let then = found.filter(|event| !matches!(event, Event::Started));
        return vec![Event::Started, then.unwrap_or(Event::LeaseExpired)];
    }
    found.into_iter().collect()
}

/// What the state alone tells.
fn found(state: &State, now: DateTime<Utc>) -> Option<Event> {
    let overdue = state.deadline_at.is_some_and(|deadline| deadline <= now);
    match state.status {
        _ if overdue && !state.status.is_terminal() => Some(Event::DeadlinePassed),
        ExecutionStatus::Pending => Some(Event::Started),
        ExecutionStatus::Running => Some(Event::LeaseExpired),
        ExecutionStatus::Waiting => {
            state.due_at().is_none_or(|due| due <= now).then_some(Event::TimerDue)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
