//! Pausing, resuming, and going on where an execution stopped.

use serde_json::json;

use super::*;

fn pause() -> Event {
    Event::PauseRequested { reason: Some("maintenance".to_owned()) }
}

/// A pause holds nothing and is due when the deadline is, or never.
fn rests(run: &Run) {
    assert_eq!(run.status(), ExecutionStatus::Paused);
    let due = run.execution.state.deadline_at.unwrap_or(DateTime::<Utc>::MAX_UTC);
    assert_eq!(run.execution.state.due_at(), Some(due));
    assert!(run.started().is_none());
    assert!(on_claim(&run.execution.state, false, run.now).is_empty());
}

#[test]
fn an_execution_that_has_not_begun_rests_and_then_begins() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(pause());
    rests(&run);
    run.on(Event::ResumeRequested);
    assert_eq!(run.started().unwrap().step.step.id, "a");
}

#[test]
fn an_attempt_under_way_is_left_to_end_and_the_next_is_held_back() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).on(pause());
    assert_eq!((run.status(), run.commands.len()), (ExecutionStatus::Running, 0));
    run.succeed(json!(1));
    rests(&run);
    assert_eq!(run.records(), [("a", 1, RecordStatus::Succeeded)]);
    assert_eq!(run.execution.state.steps["b"].attempts, 0);
    run.after(60_000).on(Event::ResumeRequested);
    let started = run.started().unwrap();
    assert_eq!((started.step.step.id.as_str(), started.attempt), ("b", 1));
    run.succeed(json!(2));
    assert_eq!(run.finished().unwrap().1, json!({ "sum": 3 }));
}

#[test]
fn a_pause_taken_back_before_the_attempt_ends_holds_nothing() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).on(pause()).on(Event::ResumeRequested).succeed(json!(1));
    assert_eq!(run.started().unwrap().step.step.id, "b");
}

#[test]
fn what_ends_while_it_is_to_rest_has_ended() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).succeed(json!(1)).on(pause()).succeed(json!(2));
    assert_eq!(run.status(), ExecutionStatus::Succeeded);
}

#[test]
fn a_lost_worker_s_attempt_is_not_tried_again_before_it_is_resumed() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).on(pause()).on(Event::LeaseExpired);
    rests(&run);
    run.on(Event::ResumeRequested);
    assert_eq!(run.started().unwrap().attempt, 2);
}

#[test]
fn a_wait_goes_on_after_a_pause_and_is_over_if_its_time_has_passed() {
    let waiting = || {
        let config = json!({ "durationMs": 1_000 });
        let steps = json!([{ "id": "s", "type": "wait", "config": config }]);
        let mut run = Run::of(json!({ "name": "w", "steps": steps }), json!(null));
        run.on(Event::Started).on(pause());
        rests(&run);
        run
    };
    let mut run = waiting();
    run.after(400).on(Event::ResumeRequested);
    let until = run.now + TimeDelta::milliseconds(600);
    assert!(matches!(run.commands[..], [Command::WakeAt(at)] if at == until));
    let mut run = waiting();
    run.after(1_000).on(Event::ResumeRequested);
    assert_eq!(run.status(), ExecutionStatus::Succeeded);
}

#[test]
fn the_deadline_and_a_cancel_reach_an_execution_that_rests() {
    let resting = || {
        let mut definition = chain();
        definition["deadlineMs"] = json!(5_000);
        let mut run = Run::of(definition, json!({ "x": 1 }));
        run.on(Event::Started).on(pause()).succeed(json!(1));
        rests(&run);
        run
    };
    let mut run = resting();
    run.after(5_000);
    let found = on_claim(&run.execution.state, false, run.now);
    assert!(matches!(found[..], [Event::DeadlinePassed]));
    run.on(Event::DeadlinePassed);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::DeadlineExceeded));
    let mut run = resting();
    run.on(Event::CancelRequested { reason: None });
    assert_eq!(run.status(), ExecutionStatus::Cancelled);
    assert_eq!(run.execution.state.pause, None);
}

#[test]
fn a_step_may_rest_instead_of_failing_and_its_attempts_count_anew() {
    let retry = json!({ "maxAttempts": 2, "delayMs": 0, "onExhausted": "pause" });
    let steps = json!([{ "id": "s", "type": "log", "retryPolicy": retry }]);
    let mut run = Run::of(json!({ "name": "w", "steps": steps }), json!(null));
    run.on(Event::Started).fail(timeout()).fail(timeout());
    rests(&run);
    let reason = run.execution.state.pause.clone().unwrap().reason.unwrap();
    assert_eq!(reason, "step `s` failed: too slow");
    assert_eq!(run.execution.state.steps["s"].status, StepStatus::Failed);
    run.on(Event::ResumeRequested);
    assert_eq!(run.started().unwrap().attempt, 3);
    run.fail(timeout());
    assert_eq!(run.started().unwrap().attempt, 4);
    run.succeed(json!("done"));
    assert_eq!(run.finished().unwrap().1, json!("done"));
}

#[test]
fn a_config_that_cannot_be_evaluated_rests_with_the_next_number() {
    let policy = json!({ "onExhausted": "pause" });
    let config = json!({ "message": "${input.missing}" });
    let step = json!({ "id": "s", "type": "log", "config": config, "retryPolicy": policy });
    let mut run = Run::of(json!({ "name": "w", "steps": [step] }), json!({}));
    run.on(Event::Started);
    rests(&run);
    assert_eq!(run.execution.state.cursor.as_ref().unwrap().attempt, 2);
}

#[test]
fn a_failed_execution_goes_on_at_the_step_that_failed_with_what_it_has() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).succeed(json!(1)).fail(timeout());
    assert_eq!(run.status(), ExecutionStatus::Failed);
    run.on(Event::RetryStepRequested { step: None });
    let started = run.started().unwrap();
    assert_eq!((started.step.step.id.as_str(), started.attempt), ("b", 2));
    assert_eq!(started.config, json!({ "message": 1 }));
    run.succeed(json!(2));
    assert_eq!(run.finished().unwrap().1, json!({ "sum": 3 }));
}

#[test]
fn a_cancelled_execution_goes_on_at_a_named_step_and_no_other() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    run.on(Event::Started).succeed(json!(1)).on(Event::CancelRequested { reason: None });
    let named = |step: &str| Event::RetryStepRequested { step: Some(step.to_owned()) };
    let rejected = transition(&run.execution, named("c"), run.now).unwrap_err();
    assert_eq!(rejected, Rejection::NoSuchStep { step: "c".to_owned() });
    run.on(named("a"));
    assert_eq!(run.started().unwrap().step.step.id, "a");
}

#[test]
fn an_execution_that_stopped_at_no_step_has_to_be_told_where_to_go_on() {
    let mut definition = chain();
    definition["output"] = json!("${input.missing}");
    let mut run = Run::of(definition, json!({ "x": 1 }));
    run.on(Event::Started).succeed(json!(1)).succeed(json!(2));
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::ExpressionError));
    let event = Event::RetryStepRequested { step: None };
    assert_eq!(transition(&run.execution, event, run.now).unwrap_err(), Rejection::StoppedNowhere);
}

#[test]
fn a_step_on_an_error_path_still_sees_the_error_when_it_is_tried_again() {
    let steps = json!([
        { "id": "a", "type": "log", "onError": "handle" },
        { "id": "handle", "type": "log", "config": { "message": "${error.code}" } },
    ]);
    let mut run = Run::of(json!({ "name": "w", "steps": steps }), json!(null));
    run.on(Event::Started).fail(timeout()).fail(timeout());
    run.on(Event::RetryStepRequested { step: None });
    assert_eq!(run.started().unwrap().config, json!({ "message": "TIMEOUT" }));
}

#[test]
fn a_fork_begins_with_its_step_and_sees_what_was_kept() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    let kept =
        |step: &str, status, failure| Kept { step: step.to_owned(), status, attempt: 2, failure };
    let kept = vec![
        kept("a", StepStatus::Succeeded, None),
        kept("other", StepStatus::Failed, Some(timeout())),
    ];
    let fork = Fork { of: Uuid::nil(), from_step: "b".to_owned() };
    run.execution.state = run.execution.state.clone().forked(fork, 3, kept);
    run.execution.state.restore_outputs([("a".to_owned(), json!(5))].into_iter());
    assert_eq!(run.execution.state.error.as_ref().unwrap()["code"], "TIMEOUT");
    run.on(Event::Started);
    let started = run.started().unwrap();
    assert_eq!((started.step.step.id.as_str(), started.attempt), ("b", 1));
    assert_eq!(started.config, json!({ "message": 5 }));
    run.succeed(json!(1));
    assert_eq!(run.records(), [("b", 1, RecordStatus::Succeeded)]);
    assert_eq!(run.execution.state.records, 4);
    assert_eq!(run.finished().unwrap().1, json!({ "sum": 6 }));
}

#[test]
fn a_fork_that_is_run_again_from_the_start_begins_at_the_first_step() {
    let mut run = Run::of(chain(), json!({ "x": 1 }));
    let fork = Fork { of: Uuid::nil(), from_step: "b".to_owned() };
    run.execution.state = run.execution.state.clone().forked(fork, 0, Vec::new());
    run.on(Event::Started);
    assert_eq!(run.status(), ExecutionStatus::Failed);
    run.on(Event::RetryRequested);
    assert_eq!(run.started().unwrap().step.step.id, "a");
}
