//! Undoing: in which order, with what, and what happens meanwhile.

use super::*;

fn undo(id: &str) -> Value {
    json!({ "steps": [{ "id": format!("un{id}"), "type": "log", "config": { "message": format!("${{steps.{id}.output}} ${{error.code}}") } }] })
}

fn saga(more: &Value) -> Run {
    let mut definition = json!({ "name": "saga", "steps": [
        { "id": "a", "type": "log", "compensate": undo("a"), "next": "b" },
        { "id": "b", "type": "log", "next": "c" },
        { "id": "c", "type": "log", "compensate": undo("c"), "next": "d" },
        { "id": "d", "type": "log", "compensate": undo("d") },
    ] });
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut run = Run::of(definition, json!({}));
    run.on(Event::Started).succeed(json!("A")).succeed(json!("B")).succeed(json!("C"));
    run
}

/// The block that has just been begun, and its visit.
fn begun(run: &Run) -> Option<(String, u32)> {
    run.commands.iter().find_map(|it| match it {
        Command::StartChildren(family) => {
            Some((family.children[0].block.clone().unwrap(), family.visit))
        }
        _ => None,
    })
}

fn ended(run: &mut Run, failed: bool) -> &mut Run {
    let (visit, _) = run.execution.state.cursor.as_ref().unwrap().children().unwrap();
    let failures =
        failed.then(|| ChildFailure { ordinal: 0, id: Uuid::from_u128(5), failure: timeout() });
    let outcomes = Outcomes {
        ended: 1,
        failed: u32::from(failed),
        failures: failures.into_iter().collect(),
        ..Outcomes::default()
    };
    run.on(Event::ChildrenEnded { visit, outcome: Outcome::Ended(outcomes) })
}

fn failure(run: &Run) -> Failure {
    let failure = run.commands.iter().find_map(|it| match it {
        Command::FinishExecution { failure, .. } => failure.clone(),
        _ => None,
    });
    failure.expect("it has ended badly")
}

#[test]
fn what_has_succeeded_is_undone_in_reverse_order() {
    let mut run = saga(&json!({}));
    run.fail(timeout());
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    assert_eq!(begun(&run).unwrap().0, "c:compensate");
    ended(&mut run, false);
    assert_eq!(begun(&run).unwrap().0, "a:compensate");
    ended(&mut run, false);
    assert_eq!(
        run.finished(),
        Some((ExecutionStatus::Failed, json!(null), Some(ErrorCode::Timeout)))
    );
}

#[test]
fn what_undoes_a_step_sees_its_output_and_the_error() {
    let mut run = saga(&json!({}));
    run.fail(timeout());
    let family = run.commands.iter().find_map(|it| match it {
        Command::StartChildren(family) => Some(family),
        _ => None,
    });
    let around = family.unwrap().around.clone().unwrap();
    assert_eq!(around.steps.keys().collect::<Vec<_>>(), ["c"]);
    assert_eq!(around.error.as_ref().unwrap()["code"], "TIMEOUT");
    let plan = run.execution.plan.block("c:compensate").unwrap();
    let execution = Execution {
        id: Uuid::from_u128(1),
        plan: Arc::clone(plan),
        input: Arc::clone(&around.input),
        around: Some(Arc::new(around)),
        item: None,
        callbacks: CallbackKey::default(),
        sampled: true,
        state: State::new(run.now, None),
    };
    let mut block = Run { execution, now: run.now, commands: Vec::new() };
    block.on(Event::Started);
    assert_eq!(block.started().unwrap().config, json!({ "message": "C TIMEOUT" }));
}

#[test]
fn what_cannot_be_undone_is_noted_and_the_rest_is_undone() {
    let mut run = saga(&json!({}));
    run.fail(timeout().with_details(json!({ "status": 500 })));
    ended(&mut run, true);
    assert_eq!(begun(&run).unwrap().0, "a:compensate");
    ended(&mut run, false);
    let details = failure(&run).details.unwrap();
    assert_eq!(details["cause"], json!({ "status": 500 }));
    assert_eq!(details["notUndone"][0]["step"], "c");
    assert_eq!(details["notUndone"][0]["failure"]["code"], "TIMEOUT");
}

#[test]
fn a_cancelled_execution_is_undone_too_and_a_second_cancel_stops_that() {
    let mut run = saga(&json!({}));
    run.on(Event::CancelRequested { reason: Some("no".to_owned()) });
    assert_eq!(begun(&run).unwrap().0, "c:compensate");
    let mut again = Run { execution: run.execution.clone(), now: run.now, commands: Vec::new() };
    ended(&mut run, false);
    ended(&mut run, false);
    assert_eq!(run.finished().unwrap().0, ExecutionStatus::Cancelled);
    again.on(Event::CancelRequested { reason: None });
    assert!(again.commands.iter().any(|it| matches!(it, Command::TellChildren { .. })));
    let left = failure(&again).details.unwrap()["notUndone"].clone();
    assert_eq!((&left[0]["step"], &left[1]["step"]), (&json!("c"), &json!("a")));
}

#[test]
fn on_failure_runs_last_and_not_for_what_was_cancelled() {
    let handler = json!({ "onFailure": { "steps": [{ "id": "tell", "type": "log", "config": { "message": "${error.step}" } }] } });
    let mut run = saga(&handler);
    run.fail(timeout());
    ended(&mut run, false);
    ended(&mut run, false);
    assert_eq!(begun(&run).unwrap().0, ":onFailure");
    ended(&mut run, false);
    assert_eq!(run.finished().unwrap().0, ExecutionStatus::Failed);
    let mut run = saga(&handler);
    run.on(Event::CancelRequested { reason: None });
    ended(&mut run, false);
    ended(&mut run, false);
    assert_eq!(run.finished().unwrap().0, ExecutionStatus::Cancelled);
}

#[test]
fn a_deadline_undoes_too_and_does_not_bound_that() {
    let mut run = saga(&json!({ "deadlineMs": 1000 }));
    run.after(1_000).on(Event::DeadlinePassed);
    assert_eq!(begun(&run).unwrap().0, "c:compensate");
    assert_eq!(run.execution.state.due_at(), Some(run.now + TimeDelta::days(30)));
}

#[test]
fn nothing_rests_while_it_is_undone() {
    let mut run = saga(&json!({}));
    run.on(Event::PauseRequested { reason: None }).fail(timeout());
    assert_eq!(begun(&run).unwrap().0, "c:compensate");
    let pause = Event::PauseRequested { reason: None };
    assert!(transition(&run.execution, pause, run.now).is_err());
}

#[test]
fn an_undone_execution_begins_again_only_from_its_start() {
    let mut run = saga(&json!({}));
    run.fail(timeout());
    ended(&mut run, false);
    ended(&mut run, false);
    let step = Event::RetryStepRequested { step: None };
    assert_eq!(transition(&run.execution, step, run.now).unwrap_err(), Rejection::Undone);
    run.on(Event::RetryRequested);
    assert_eq!(run.started().unwrap().step.step.id, "a");
    run.fail(timeout());
    assert_eq!(run.finished().unwrap().0, ExecutionStatus::Failed, "nothing is left from before");
}

#[test]
fn a_step_that_ran_twice_is_undone_once() {
    let definition = json!({ "name": "w", "steps": [
        { "id": "a", "type": "log", "compensate": undo("a"), "next": "s" },
        { "id": "s", "type": "switch", "config": { "cases": [{ "when": "steps.a.attempts < 2", "next": "a" }], "default": "f" } },
        { "id": "f", "type": "fail", "config": { "message": "no" } },
    ] });
    let mut run = Run::of(definition, json!({}));
    run.on(Event::Started).succeed(json!(1)).succeed(json!(2));
    assert_eq!(begun(&run).unwrap().0, "a:compensate");
    ended(&mut run, false);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::StepFailed));
}

fn with_branches() -> Run {
    let branch =
        |id: &str| json!({ "steps": [{ "id": id, "type": "log", "compensate": undo(id) }] });
    let definition = json!({ "name": "w", "steps": [
        { "id": "p", "type": "parallel", "config": { "branches": { "l": branch("l"), "r": branch("r") } }, "next": "z" },
        { "id": "z", "type": "log" },
    ] });
    let mut run = Run::of(definition, json!({}));
    run.on(Event::Started);
    run
}

fn told_to_undo(run: &Run) -> bool {
    let undo = |it: &&Command| matches!(it, Command::TellChildren { fact: Fact::Undo, .. });
    run.commands.iter().any(|it| undo(&it))
}

#[test]
fn children_are_told_to_undo_what_they_did_when_their_step_or_their_parent_fails() {
    let mut run = with_branches();
    let mut failed = Run { execution: run.execution.clone(), now: run.now, commands: Vec::new() };
    ended(&mut failed, true);
    assert!(told_to_undo(&failed));
    let outcomes =
        Outcomes { ended: 2, outputs: vec![Some(json!(1)), Some(json!(2))], ..Outcomes::default() };
    run.on(Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(outcomes) });
    assert!(!told_to_undo(&run));
    run.fail(timeout());
    assert!(told_to_undo(&run));
    assert_eq!(run.finished().unwrap().0, ExecutionStatus::Failed);
}

#[test]
fn what_has_succeeded_can_be_undone_once() {
    let definition =
        json!({ "name": "w", "steps": [{ "id": "a", "type": "log", "compensate": undo("a") }] });
    let mut run = Run::of(definition, json!({}));
    run.on(Event::Started).succeed(json!(1));
    assert_eq!(run.status(), ExecutionStatus::Succeeded);
    run.on(Event::UndoRequested);
    assert_eq!(begun(&run).unwrap().0, "a:compensate");
    ended(&mut run, false);
    assert_eq!(run.finished().unwrap().0, ExecutionStatus::Cancelled);
    let mut plain = Run::of(chain(), json!({ "x": 1 }));
    plain.on(Event::Started).succeed(json!(1)).succeed(json!(2));
    let undo = transition(&plain.execution, Event::UndoRequested, plain.now);
    assert_eq!(undo.unwrap_err(), Rejection::NothingToUndo);
}
