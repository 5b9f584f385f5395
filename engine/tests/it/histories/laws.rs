//! What holds at every turn of every history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use stateflow_engine::machine::{
    Command, Cursor, Event, EventKind, Execution, ExecutionStatus, Rejection, State, StepState,
    Transition, transition,
};
use stateflow_engine::plan::Work;

use crate::state_machine::name;

/// How often a step may be tried again after its worker was lost, on top of `maxAttempts`.
const MAX_LOSSES: u32 = 5;

/// The same execution, the same fact, the same instant: the same state, or the same rejection.
pub(super) fn is_a_function(
    before: &Execution,
    event: &Event,
    now: DateTime<Utc>,
    outcome: Result<&Transition, &Rejection>,
) {
    match (outcome, transition(before, event.clone(), now)) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first.state, second.state);
            let names = |it: &Transition| it.commands.iter().map(name).collect::<Vec<_>>();
            assert_eq!(names(first), names(&second));
        }
        (Err(first), Err(second)) => assert_eq!(*first, second),
        (first, second) => panic!("once {first:?}, then {second:?}"),
    }
}

/// What is rejected either makes no sense, or came too late.
pub(super) fn rejects_with_reason(before: &Execution, event: &Event) {
    let state = &before.state;
    let kind = event.kind();
    let always = match kind {
        EventKind::CancelRequested => !state.status.is_terminal(),
        EventKind::DeadlinePassed => !state.status.is_terminal() && state.unwinding.is_none(),
        EventKind::Started => state.status == ExecutionStatus::Pending,
        EventKind::LeaseExpired | EventKind::AttemptYielded | EventKind::ProgressNoted => {
            state.status == ExecutionStatus::Running
        }
        EventKind::TimerDue => state.status == ExecutionStatus::Waiting,
        EventKind::ResumeRequested => state.status == ExecutionStatus::Paused,
        EventKind::RetryRequested => {
            matches!(state.status, ExecutionStatus::Failed | ExecutionStatus::Cancelled)
        }
        _ => false,
    };
    assert!(!always, "{kind} was rejected by {state:?}");
}

pub(super) fn is_lawful(before: &Execution, event: &Event, after: &Transition) {
    absorbs(before, event);
    finishes_once(before, after);
    records_are_numbered(&before.state, after);
    attempts_keep_to_the_policy(before, after);
    commands_are_caused(after);
    nothing_is_begun_at_rest(after);
    nobody_is_forgotten(&after.state);
}

/// Nothing leads out of an end but a retry, or the undoing of what has succeeded.
fn absorbs(before: &Execution, event: &Event) {
    let leads_out = match before.state.status {
        ExecutionStatus::Succeeded => matches!(event, Event::UndoRequested),
        _ => matches!(event, Event::RetryRequested | Event::RetryStepRequested { .. }),
    };
    assert!(
        !before.state.status.is_terminal() || leads_out,
        "{:?} led out of an end",
        event.kind()
    );
}

fn finishes_once(before: &Execution, after: &Transition) {
    let finish = |it: &&Command| matches!(it, Command::FinishExecution { .. });
    let finishes = after.commands.iter().filter(finish).count();
    assert_eq!(finishes, usize::from(after.state.status.is_terminal()), "{before:?}");
    if finishes == 1 {
        assert!(after.state.cursor.is_none() && after.state.unwinding.is_none(), "{after:?}");
        let begins = after.commands.iter().any(begins_something);
        assert!(!begins, "an end that begins something: {:?}", after.commands);
    }
}

fn records_are_numbered(before: &State, after: &Transition) {
    let mut next = before.records;
    for command in &after.commands {
        if let Command::Record(record) = command {
            next += 1;
            assert_eq!(record.sequence, next);
            assert!(record.started_at <= record.finished_at);
        }
    }
    assert_eq!(after.state.records, next);
}

/// No attempt beyond the policy of its step, within one visit.
fn attempts_keep_to_the_policy(before: &Execution, after: &Transition) {
    let Some(cursor) = &after.state.cursor else { return };
    let Some(step) = before.plan.step(&cursor.step) else { return };
    assert!(cursor.lost <= MAX_LOSSES, "{cursor:?}");
    assert!(cursor.failed < step.retry.max_attempts, "{cursor:?}");
}

/// Each wish belongs to the state that wishes it.
fn commands_are_caused(after: &Transition) {
    let state = &after.state;
    let cursor = state.cursor.as_ref();
    for command in &after.commands {
        match command {
            Command::StartAttempt(start) => {
                let cursor = cursor.expect("an attempt is somewhere");
                assert_eq!(state.status, ExecutionStatus::Running);
                assert_eq!((&cursor.step, cursor.attempt), (&start.step.step.id, start.attempt));
                assert!(matches!(start.step.work, Work::Attempt(_)));
                let known = state.steps.get(&cursor.step).map(|step| step.attempts);
                assert_eq!(known, Some(start.attempt));
            }
            Command::StartChildren(family) => {
                let (visit, total) = cursor.and_then(Cursor::children).expect("they are awaited");
                assert_eq!((visit, total as usize), (family.visit, family.children.len()));
                assert_eq!(visit, state.visits);
            }
            Command::Listen(subscription) => {
                let listening = cursor.and_then(Cursor::listening).expect("it is awaited");
                assert_eq!(*listening, subscription.listening);
            }
            Command::WakeAt(instant) => {
                assert!(matches!(state.status, ExecutionStatus::Waiting | ExecutionStatus::Paused));
                assert_eq!(state.due_at(), Some(*instant));
            }
            Command::TellChildren { visit, .. } | Command::StopListening { visit, .. } => {
                assert!((1..=state.visits).contains(visit));
            }
            Command::Record(_)
            | Command::FinishExecution { .. }
            | Command::Consume(_)
            | Command::Emit { .. } => {}
        }
    }
    let begun = after.commands.iter().filter(|it| begins_something(it)).count();
    assert!(begun <= 1, "one thing at a time: {:?}", after.commands);
}

fn begins_something(command: &Command) -> bool {
    matches!(command, Command::StartAttempt(_) | Command::StartChildren(_) | Command::Listen(_))
}

fn nothing_is_begun_at_rest(after: &Transition) {
    if after.state.status == ExecutionStatus::Paused {
        assert!(after.state.pause.is_some());
        // A suspended step has begun before: it goes on listening.
        let suspended = after.state.cursor.as_ref().is_some_and(Cursor::is_suspended);
        let begins =
            |it: &Command| begins_something(it) && !(suspended && matches!(it, Command::Listen(_)));
        assert!(!after.commands.iter().any(begins), "{:?}", after.commands);
    }
}

/// An execution that has not ended can always go on: something is under way, due, or asked of somebody.
fn nobody_is_forgotten(state: &State) {
    match state.status {
        ExecutionStatus::Running => {
            let cursor = state.cursor.as_ref().expect("an attempt is somewhere");
            assert!(cursor.awaited.is_none() && cursor.until.is_none(), "{cursor:?}");
        }
        ExecutionStatus::Waiting => {
            assert!(state.due_at().is_some_and(|due| due < DateTime::<Utc>::MAX_UTC), "{state:?}");
        }
        ExecutionStatus::Pending | ExecutionStatus::Paused => {}
        _ => assert!(state.cursor.is_none()),
    }
}

/// The state that is stored, with the outputs from the history, is the state that was.
pub(super) fn survives_storage(state: &State) {
    let text = serde_json::to_string(state).unwrap();
    let mut stored: State = serde_json::from_str(&text).unwrap();
    let outputs = state.steps.iter().filter_map(|(id, step): (&String, &StepState)| {
        Some((id.clone(), (**step.output.as_ref()?).clone()))
    });
    stored.restore_outputs(outputs);
    assert_eq!(stored, *state);
}

/// The same facts at the same instants lead to the same state.
pub(super) fn replays(execution: &Execution, first: &State, accepted: &[(Event, DateTime<Utc>)]) {
    let mut again = Execution { state: first.clone(), ..execution.clone() };
    for (event, now) in accepted {
        again.state = transition(&again, event.clone(), *now).unwrap().state;
    }
    assert_eq!(again.state, execution.state);
}

/// What the histories have come to: a test that never gets anywhere proves nothing.
#[derive(Default)]
pub(super) struct Seen {
    events: BTreeMap<String, u64>,
    commands: BTreeMap<&'static str, u64>,
    ends: BTreeMap<&'static str, u64>,
    histories: u64,
}

impl Seen {
    pub(super) fn event(&mut self, kind: EventKind) {
        *self.events.entry(kind.to_string()).or_default() += 1;
    }

    pub(super) fn transition(&mut self, transition: &Transition) {
        for command in &transition.commands {
            *self.commands.entry(name(command)).or_default() += 1;
        }
    }

    pub(super) fn history(&mut self, execution: &Execution) {
        self.histories += 1;
        *self.ends.entry(execution.state.status.as_str()).or_default() += 1;
    }

    pub(super) fn is_varied(&self) {
        assert!(self.histories >= 100_000);
        assert_eq!(self.events.len(), EventKind::ALL.len(), "{:?}", self.events);
        assert_eq!(self.commands.len(), 10, "{:?}", self.commands);
        assert_eq!(self.ends.len(), ExecutionStatus::ALL.len(), "{:?}", self.ends);
        let rare = |counts: &BTreeMap<&'static str, u64>| counts.values().any(|count| *count < 100);
        assert!(!rare(&self.commands) && !rare(&self.ends), "{:?} {:?}", self.commands, self.ends);
    }
}
