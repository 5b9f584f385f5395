//! Every pair of status and event is visited, and the table in the docs is what the visit finds.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use stateflow_engine::callback::CallbackKey;
use stateflow_engine::definition::Definition;
use stateflow_engine::failure::{ErrorCode, Failure};
use stateflow_engine::machine::{
    Awaited, Command, Cursor, Event, EventKind, Execution, ExecutionStatus, Listening, Outcome,
    Outcomes, Pause, Rejection, State, StepState, StepStatus, Steps, transition,
};
use stateflow_engine::message::Message;
use stateflow_engine::plan::{Plan, PluginLock};
use stateflow_engine::suspension::{Checkpoint, Suspension, Wake};
use uuid::Uuid;

const DOCUMENT: &str = include_str!("../../../docs/state-machine.md");

/// Whom an execution's step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Children,
    Message,
}

/// A column of the table: a status, and whom the execution's step waits for.
#[derive(Clone, Copy)]
struct Column {
    status: ExecutionStatus,
    waits_for: Option<Others>,
}

impl Column {
    fn all() -> impl Iterator<Item = Self> {
        ExecutionStatus::ALL.into_iter().flat_map(move |status| {
            let may = matches!(status, ExecutionStatus::Waiting | ExecutionStatus::Paused);
            let others = [Others::Children, Others::Message].into_iter().filter(move |_| may);
            let kinds = std::iter::once(None).chain(others.map(Some));
            kinds.map(move |waits_for| Self { status, waits_for })
        })
    }
}

impl std::fmt::Display for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let others = match self.waits_for {
            Some(Others::Children) => ", children",
            Some(Others::Message) => ", message",
            None => "",
        };
        write!(f, "{}{others}", self.status)
    }
}

/// An execution of one step: one that may be tried twice, or that waits for others.
fn execution(Column { status, waits_for }: Column) -> Execution {
    let step = match waits_for {
        Some(Others::Children) => {
            json!({ "id": "s", "type": "map", "config": { "items": [1, 2], "steps": [{ "id": "t", "type": "log" }] } })
        }
        Some(Others::Message) => {
            json!({ "id": "s", "type": "wait", "config": { "event": { "name": "paid" } } })
        }
        None => {
            json!({ "id": "s", "type": "log", "retryPolicy": { "maxAttempts": 2, "jitter": "none" } })
        }
    };
    let definition: Definition =
        serde_json::from_value(json!({ "name": "w", "steps": [step] })).unwrap();
    let plan = Plan::compile(&definition, 1, &PluginLock::new()).unwrap();
    let now = DateTime::<Utc>::UNIX_EPOCH;
    let at_the_step = !status.is_terminal() && status != ExecutionStatus::Pending;
    let cursor = at_the_step.then(|| Cursor {
        until: (status != ExecutionStatus::Running).then_some(now + TimeDelta::seconds(1)),
        awaited: match waits_for {
            Some(Others::Children) => Some(Awaited::Children { visit: 1, total: 2 }),
            Some(Others::Message) => Some(Awaited::Message(Box::new(Listening {
                visit: 1,
                name: "paid".to_owned(),
                since: now,
                asked: None,
                matching: None,
            }))),
            None => None,
        },
        ..Cursor::at("s".to_owned(), 1, now)
    });
    let step = StepState { status: StepStatus::Running, attempts: 1, error: None, output: None };
    let steps = if cursor.is_some() { Steps::from([("s".to_owned(), step)]) } else { Steps::new() };
    let pause = (status == ExecutionStatus::Paused).then_some(Pause { reason: None, since: now });
    let stopped_at = status.is_terminal().then(|| "s".to_owned());
    let state = State { status, cursor, steps, pause, stopped_at, ..State::new(now, None) };
    let (plan, input) = (Arc::new(plan), Arc::new(json!({})));
    let callbacks = CallbackKey::default();
    Execution {
        id: Uuid::nil(),
        plan,
        input,
        around: None,
        item: None,
        callbacks,
        sampled: true,
        state,
    }
}

fn event(kind: EventKind) -> Event {
    match kind {
        EventKind::Started => Event::Started,
        EventKind::AttemptSucceeded => Event::AttemptSucceeded { attempt: 1, output: json!(1) },
        EventKind::AttemptFailed => Event::AttemptFailed {
            attempt: 1,
            failure: Failure::new(ErrorCode::Timeout, "too slow"),
            chance: 0.5,
        },
        EventKind::AttemptSuspended => Event::AttemptSuspended {
            attempt: 1,
            suspension: Box::new(Suspension {
                state: Checkpoint::default(),
                wake: Wake::At(DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(1)),
            }),
        },
        EventKind::AttemptYielded => Event::AttemptYielded,
        EventKind::ProgressNoted => Event::ProgressNoted { note: "half of it".to_owned() },
        EventKind::LeaseExpired => Event::LeaseExpired,
        EventKind::TimerDue => Event::TimerDue,
        EventKind::ChildrenEnded => {
            let outputs = vec![Some(json!(1)), Some(json!(2))];
            let outcomes = Outcomes { ended: 2, outputs, ..Outcomes::default() };
            Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(outcomes) }
        }
        EventKind::MessageReceived => Event::MessageReceived(Box::new(Message {
            id: Uuid::from_u128(3),
            name: "paid".to_owned(),
            data: Arc::new(json!({})),
            received_at: DateTime::<Utc>::UNIX_EPOCH,
            to: None,
        })),
        EventKind::UndoRequested => Event::UndoRequested,
        EventKind::DeadlinePassed => Event::DeadlinePassed,
        EventKind::CancelRequested => Event::CancelRequested { reason: None },
        EventKind::RetryRequested => Event::RetryRequested,
        EventKind::RetryStepRequested => Event::RetryStepRequested { step: None },
        EventKind::PauseRequested => Event::PauseRequested { reason: None },
        EventKind::ResumeRequested => Event::ResumeRequested,
    }
}

/// What a cell does: the next status and the names of the commands, or a dash.
fn cell(column: Column, kind: EventKind) -> String {
    let outcome = transition(&execution(column), event(kind), DateTime::<Utc>::UNIX_EPOCH);
    match outcome {
        Ok(transition) => {
            let commands: Vec<_> = transition.commands.iter().map(name).collect();
            let to = transition.state.status;
            if commands.is_empty() {
                format!("**{to}**")
            } else {
                format!("**{to}**: {}", commands.join(", "))
            }
        }
        Err(Rejection::Ended { .. }) => "ended".to_owned(),
        Err(_) => "–".to_owned(),
    }
}

pub(crate) fn name(command: &Command) -> &'static str {
    match command {
        Command::Record(_) => "record",
        Command::StartAttempt(_) => "start attempt",
        Command::StartChildren(_) => "start children",
        Command::TellChildren { .. } => "tell children",
        Command::Listen(_) => "listen",
        Command::StopListening { .. } => "stop listening",
        Command::Consume(_) => "consume",
        Command::Emit { .. } => "emit",
        Command::WakeAt(_) => "wake at",
        Command::FinishExecution { .. } => "finish",
    }
}

fn document() -> String {
    let mut text = String::from(
        "# The state machine\n\nGenerated by the engine's tests from `engine/src/machine/turn.rs`; do not edit. The execution \
         of the table has one step that\nmay be tried twice, and is at its first attempt where it is at one; in the columns \
         with children, its step is a `map` that\nhas begun two; in those with a message, a `wait` for an event. A bold word \
         is the status that follows, after it the commands; a\ndash is a typed rejection; `ended` is the rejection of what comes \
         after the end.\n\n| event |",
    );
    for column in Column::all() {
        write!(text, " {column} |").unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Column::all().count()));
    for kind in EventKind::ALL {
        write!(text, "\n| {kind} |").unwrap();
        for column in Column::all() {
            write!(text, " {} |", cell(column, kind)).unwrap();
        }
    }
    text.push('\n');
    text
}

#[test]
fn the_document_shows_the_table() {
    let fresh = document();
    if fresh != DOCUMENT {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("state-machine.md");
        std::fs::write(&place, fresh).unwrap();
        panic!("docs/state-machine.md is stale; copy {} over it", place.display());
    }
}

#[test]
fn terminal_statuses_absorb_everything_but_a_retry() {
    for column in Column::all().filter(|column| column.status.is_terminal()) {
        let status = column.status;
        for kind in EventKind::ALL {
            let outcome = transition(&execution(column), event(kind), DateTime::<Utc>::UNIX_EPOCH);
            let again = matches!(kind, EventKind::RetryRequested | EventKind::RetryStepRequested);
            let retried = again && status != ExecutionStatus::Succeeded;
            assert_eq!(outcome.is_ok(), retried, "{status} {kind}");
        }
    }
}

#[test]
fn a_finished_execution_has_no_cursor_and_a_live_one_that_began_has() {
    for column in Column::all() {
        let status = column.status;
        for kind in EventKind::ALL {
            let outcome = transition(&execution(column), event(kind), DateTime::<Utc>::UNIX_EPOCH);
            let Ok(transition) = outcome else { continue };
            let ended = transition.state.status.is_terminal();
            let unbegun = status == ExecutionStatus::Pending && kind == EventKind::PauseRequested;
            assert_eq!(transition.state.cursor.is_none(), ended || unbegun, "{column} {kind}");
            let finishes =
                transition.commands.iter().any(|it| matches!(it, Command::FinishExecution { .. }));
            assert_eq!(finishes, ended, "{status} {kind}");
        }
    }
}
