//! Ways through the machine that people rely on. Every pair of status and event is visited in `tests/it`.

mod children;
mod control;
mod listening;
mod recovery;
mod suspending;
mod unwinding;

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::callback::CallbackKey;
use crate::definition::Definition;
use crate::failure::{ErrorCode, Failure};
use crate::plan::{Plan, PluginLock};

/// An execution with its clock, driven by facts.
struct Run {
    execution: Execution,
    now: DateTime<Utc>,
    commands: Vec<Command>,
}

impl Run {
    fn of(definition: Value, input: Value) -> Self {
        let definition: Definition = serde_json::from_value(definition).unwrap();
        let plan = Plan::compile(&definition, 1, &PluginLock::new()).unwrap();
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let state = State::new(now, plan.deadline_ms);
        let (plan, input) = (plan.into(), input.into());
        let id = Uuid::from_u128(9);
        let execution = Execution {
            id,
            plan,
            input,
            around: None,
            item: None,
            callbacks: CallbackKey::default(),
            sampled: true,
            state,
        };
        Self { execution, now, commands: Vec::new() }
    }

    fn on(&mut self, event: Event) -> &mut Self {
        let transition = transition(&self.execution, event, self.now).unwrap();
        self.execution.state = transition.state;
        self.commands = transition.commands;
        self
    }

    fn after(&mut self, ms: i64) -> &mut Self {
        self.now += TimeDelta::milliseconds(ms);
        self
    }

    fn fail(&mut self, failure: Failure) -> &mut Self {
        let attempt = self.execution.state.cursor.as_ref().unwrap().attempt;
        self.on(Event::AttemptFailed { attempt, failure, chance: 0.5 })
    }

    fn succeed(&mut self, output: Value) -> &mut Self {
        let attempt = self.execution.state.cursor.as_ref().unwrap().attempt;
        self.on(Event::AttemptSucceeded { attempt, output })
    }

    fn status(&self) -> ExecutionStatus {
        self.execution.state.status
    }

    fn started(&self) -> Option<&StartAttempt> {
        self.commands.iter().find_map(|command| match command {
            Command::StartAttempt(start) => Some(start),
            _ => None,
        })
    }

    fn finished(&self) -> Option<(ExecutionStatus, Value, Option<ErrorCode>)> {
        self.commands.iter().find_map(|command| match command {
            Command::FinishExecution { status, output, failure } => Some((
                *status,
                output.as_deref().cloned().unwrap_or_default(),
                failure.as_ref().map(|failure| failure.code),
            )),
            _ => None,
        })
    }

    fn records(&self) -> Vec<(&str, u32, RecordStatus)> {
        let records = self.commands.iter().filter_map(|command| match command {
            Command::Record(record) => {
                Some((record.step_id.as_str(), record.attempt, record.status))
            }
            _ => None,
        });
        records.collect()
    }
}

fn timeout() -> Failure {
    Failure::new(ErrorCode::Timeout, "too slow")
}

fn chain() -> Value {
    json!({ "name": "chain", "steps": [
        { "id": "a", "type": "log", "config": { "message": "${input.x}" }, "next": "b" },
        { "id": "b", "type": "log", "config": { "message": "${steps.a.output}" } },
    ], "output": { "sum": "${steps.a.output + steps.b.output}" } })
}

#[test]
fn steps_follow_next_and_the_output_is_mapped() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started);
    assert_eq!(run.started().unwrap().config, json!({ "message": 1 }));
    run.succeed(json!(20));
    assert_eq!(run.records(), [("a", 1, RecordStatus::Succeeded)]);
    assert_eq!(run.started().unwrap().config, json!({ "message": 20 }));
    run.succeed(json!(22));
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!({ "sum": 42 }), None)));
    assert_eq!(run.status(), ExecutionStatus::Succeeded);
}

#[test]
fn without_a_mapping_the_output_is_the_last_steps() {
    let mut run =
        Run::of(json!({ "name": "one", "steps": [{ "id": "a", "type": "log" }] }), json!(null));
    run.on(Event::Started).succeed(json!("done"));
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!("done"), None)));
}

#[test]
fn a_failed_step_waits_and_is_tried_again() {
    let mut run = Run::of(
        json!({ "name": "retry", "steps": [
        { "id": "a", "type": "log", "retryPolicy": { "maxAttempts": 2, "delayMs": 1000, "jitter": "none" } },
    ] }),
        json!(null),
    );
    run.on(Event::Started).fail(timeout());
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    let due = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(1);
    assert!(matches!(run.commands[..], [Command::Record(_), Command::WakeAt(at)] if at == due));
    run.after(1000).on(Event::TimerDue);
    assert_eq!(run.started().unwrap().attempt, 2);
    run.fail(timeout());
    assert_eq!(
        run.finished(),
        Some((ExecutionStatus::Failed, Value::Null, Some(ErrorCode::Timeout)))
    );
}

#[test]
fn on_error_gets_the_error_and_can_end_well() {
    let mut run = Run::of(
        json!({ "name": "handled", "steps": [
        { "id": "a", "type": "log", "onError": "b" },
        { "id": "b", "type": "log", "config": { "m": "${error.code}/${error.step}/${error.attempt}: ${error.message}" } },
    ] }),
        json!(null),
    );
    run.on(Event::Started).fail(timeout());
    assert_eq!(run.started().unwrap().config, json!({ "m": "TIMEOUT/a/1: too slow" }));
    run.succeed(json!(null));
    assert_eq!(run.status(), ExecutionStatus::Succeeded);
    assert_eq!(run.execution.state.steps["a"].status, StepStatus::Failed);
}

#[test]
fn a_step_whose_when_is_false_is_skipped_and_recorded() {
    let mut run = Run::of(
        json!({ "name": "skip", "steps": [
        { "id": "a", "type": "log", "when": "${input.go}", "next": "b" },
        { "id": "b", "type": "log", "when": "steps.a.status == 'skipped'" },
    ] }),
        json!({ "go": false }),
    );
    run.on(Event::Started);
    assert_eq!(run.records(), [("a", 0, RecordStatus::Skipped)]);
    assert_eq!(run.started().unwrap().step.step.id, "b");
}

#[test]
fn a_when_that_is_no_boolean_fails_the_step() {
    let mut run = Run::of(
        json!({ "name": "w", "steps": [
        { "id": "a", "type": "log", "when": "input.go" },
    ] }),
        json!({ "go": "yes" }),
    );
    run.on(Event::Started);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::ExpressionError));
}

#[test]
fn a_config_that_cannot_be_evaluated_takes_the_on_error_path_at_once() {
    let mut run = Run::of(
        json!({ "name": "c", "steps": [
        { "id": "a", "type": "log", "config": { "m": "${input.nosuch}" }, "onError": "b",
          "retryPolicy": { "maxAttempts": 5 } },
        { "id": "b", "type": "log" },
    ] }),
        json!({}),
    );
    run.on(Event::Started);
    assert_eq!(run.records(), [("a", 1, RecordStatus::Failed)]);
    assert_eq!(run.started().unwrap().step.step.id, "b");
}

#[test]
fn a_lost_worker_costs_no_attempt_of_the_policy() {
    let mut run =
        Run::of(json!({ "name": "l", "steps": [{ "id": "a", "type": "log" }] }), json!(null));
    run.on(Event::Started).on(Event::LeaseExpired);
    assert_eq!(run.records(), [("a", 1, RecordStatus::Failed)]);
    assert_eq!(run.started().unwrap().attempt, 2);
    run.succeed(json!(null));
    assert_eq!(run.status(), ExecutionStatus::Succeeded);
}

#[test]
fn a_step_that_kills_its_workers_ends_in_failure() {
    let mut run =
        Run::of(json!({ "name": "k", "steps": [{ "id": "a", "type": "log" }] }), json!(null));
    run.on(Event::Started);
    for _ in 0..crate::retry::MAX_WORKER_LOSSES {
        run.on(Event::LeaseExpired);
        assert_eq!(run.status(), ExecutionStatus::Running);
    }
    run.on(Event::LeaseExpired);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::WorkerLost));
}

#[test]
fn a_yielded_attempt_is_begun_elsewhere_under_the_same_number() {
    let mut run =
        Run::of(json!({ "name": "y", "steps": [{ "id": "a", "type": "log" }] }), json!(null));
    run.on(Event::Started).on(Event::AttemptYielded);
    assert!(run.records().is_empty());
    assert!(matches!(on_claim(&run.execution.state, false, run.now)[..], [Event::TimerDue]));
    run.on(Event::TimerDue);
    assert_eq!(run.started().unwrap().attempt, 1);
}

#[test]
fn a_lease_lost_before_anything_was_written_costs_an_attempt_all_the_same() {
    let mut run =
        Run::of(json!({ "name": "l", "steps": [{ "id": "a", "type": "log" }] }), json!(null));
    let found = on_claim(&run.execution.state, true, run.now);
    assert!(matches!(found[..], [Event::Started, Event::LeaseExpired]), "{found:?}");
    for event in found {
        run.on(event);
    }
    assert_eq!(run.records(), [("a", 1, RecordStatus::Failed)]);
    // From here on the stored state tells: losing that lease adds nothing.
    assert!(matches!(on_claim(&run.execution.state, true, run.now)[..], [Event::LeaseExpired]));
}

#[test]
fn a_lost_lease_past_the_deadline_leaves_its_attempt_in_the_history() {
    let definition =
        json!({ "name": "l", "deadlineMs": 5, "steps": [{ "id": "a", "type": "log" }] });
    let mut run = Run::of(definition, json!(null));
    run.after(10);
    let found = on_claim(&run.execution.state, true, run.now);
    assert!(matches!(found[..], [Event::Started, Event::DeadlinePassed]), "{found:?}");
    for event in found {
        run.on(event);
    }
    assert_eq!(run.records(), [("a", 1, RecordStatus::Failed)]);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::DeadlineExceeded));
}

#[test]
fn only_a_turn_that_leaves_nothing_behind_may_go_unwritten() {
    let skipping = json!({ "name": "s", "steps": [
        { "id": "a", "type": "log", "when": "false", "next": "b" }, { "id": "b", "type": "log" },
    ] });
    let run = Run::of(skipping, json!(null));
    let skips = transition(&run.execution, Event::Started, run.now).unwrap();
    assert!(!skips.only_begins(), "the skipped step is a record");
    let run = Run::of(chain(), json!({ "x": 1 }));
    assert!(transition(&run.execution, Event::Started, run.now).unwrap().only_begins());
}

#[test]
fn cancel_stops_an_attempt_and_is_final() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).on(Event::CancelRequested { reason: Some("no longer needed".into()) });
    assert_eq!(run.records(), [("a", 1, RecordStatus::Cancelled)]);
    assert_eq!(
        run.finished(),
        Some((ExecutionStatus::Cancelled, Value::Null, Some(ErrorCode::Cancelled)))
    );
    let late = Event::AttemptSucceeded { attempt: 1, output: json!(1) };
    let rejection = transition(&run.execution, late, run.now).unwrap_err();
    assert_eq!(rejection, Rejection::Ended { status: ExecutionStatus::Cancelled });
}

#[test]
fn a_result_of_another_attempt_is_refused() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).on(Event::LeaseExpired);
    let late = Event::AttemptSucceeded { attempt: 1, output: json!(1) };
    let rejection = transition(&run.execution, late, run.now).unwrap_err();
    assert_eq!(rejection, Rejection::OtherAttempt { reported: 1, current: 2 });
}

#[test]
fn the_deadline_ends_a_wait_as_well_as_an_attempt() {
    let mut run = Run::of(
        json!({ "name": "d", "deadlineMs": 500, "steps": [
        { "id": "a", "type": "log", "onError": "b", "retryPolicy": { "maxAttempts": 9, "jitter": "none" } },
        { "id": "b", "type": "log" },
    ] }),
        json!(null),
    );
    run.on(Event::Started).fail(timeout());
    let deadline = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::milliseconds(500);
    assert!(
        matches!(run.commands[..], [Command::Record(_), Command::WakeAt(at)] if at == deadline)
    );
    run.after(500);
    assert!(matches!(on_claim(&run.execution.state, false, run.now)[..], [Event::DeadlinePassed]));
    run.on(Event::DeadlinePassed);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::DeadlineExceeded));
}

#[test]
fn a_retry_runs_from_the_start_and_goes_on_counting_attempts() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).succeed(json!(1)).fail(timeout());
    assert_eq!(run.status(), ExecutionStatus::Failed);
    run.on(Event::RetryRequested);
    let started = run.started().unwrap();
    assert_eq!((started.step.step.id.as_str(), started.attempt), ("a", 2));
    run.succeed(json!(1)).succeed(json!(2));
    assert_eq!(run.finished().unwrap().1, json!({ "sum": 3 }));
}

#[test]
fn an_output_is_bounded() {
    let text = |bytes: usize| json!("x".repeat(bytes - 2));
    let limit = crate::definition::MAX_PAYLOAD_BYTES;
    for (bytes, code) in
        [(limit - 1, None), (limit, None), (limit + 1, Some(ErrorCode::OutputTooLarge))]
    {
        let mut run =
            Run::of(json!({ "name": "o", "steps": [{ "id": "a", "type": "log" }] }), json!(null));
        run.on(Event::Started).succeed(text(bytes));
        assert_eq!(run.finished().unwrap().2, code, "{bytes}");
    }
}

#[test]
fn on_error_circles_without_an_attempt_end() {
    let mut run = Run::of(
        json!({ "name": "o", "steps": [
        { "id": "a", "type": "log", "when": "input.x", "onError": "b" },
        { "id": "b", "type": "log", "when": "false", "next": "a" },
    ] }),
        json!({}),
    );
    run.on(Event::Started);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::Internal));
}

#[test]
fn the_stored_form_leaves_the_outputs_to_the_history() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).succeed(json!({ "secret": 1 }));
    let stored = serde_json::to_string(&run.execution.state).unwrap();
    assert!(!stored.contains("secret"));
    let mut restored: State = serde_json::from_str(&stored).unwrap();
    restored.restore_outputs([("a".to_owned(), json!({ "secret": 1 }))].into_iter());
    assert_eq!(restored, run.execution.state);
}
