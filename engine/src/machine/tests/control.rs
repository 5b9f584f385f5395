//! Steps that the machine carries out itself.

use serde_json::{Value, json};

use super::*;

fn switch(rest: &Value) -> Value {
    let mut steps = vec![json!({ "id": "route", "type": "switch", "config": { "cases": [
            { "when": "input.n > 10", "next": "large" },
            { "when": "input.n > 5", "next": "middle" },
        ], "default": "small" } })];
    for id in ["large", "middle", "small"] {
        steps.push(json!({ "id": id, "type": "transform", "config": { "value": id } }));
    }
    let mut definition = json!({ "name": "w", "steps": steps });
    definition.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    definition
}

fn ended(definition: Value, input: Value) -> (ExecutionStatus, Value, Option<ErrorCode>) {
    Run::of(definition, input).on(Event::Started).finished().unwrap()
}

fn alone(step_type: &str, config: &Value) -> Value {
    json!({ "name": "w", "steps": [{ "id": "s", "type": step_type, "config": config }] })
}

#[test]
fn a_switch_goes_on_at_the_first_case_that_is_true() {
    for (n, end) in [(11, "large"), (10, "middle"), (6, "middle"), (5, "small")] {
        let outcome = ended(switch(&json!({})), json!({ "n": n }));
        assert_eq!(outcome, (ExecutionStatus::Succeeded, json!(end), None), "{n}");
    }
    let mut run = Run::of(switch(&json!({ "output": "${steps.route.output}" })), json!({ "n": 6 }));
    run.on(Event::Started);
    assert_eq!(run.finished().unwrap().1, json!({ "case": 1, "next": "middle" }));
    let records = [("route", 1, RecordStatus::Succeeded), ("middle", 1, RecordStatus::Succeeded)];
    assert_eq!(run.records(), records);
}

#[test]
fn a_switch_without_a_way_out_fails_and_says_so() {
    let config = json!({ "cases": [{ "when": "input.n == 1", "next": "s" }] });
    let outcome = ended(alone("switch", &config), json!({ "n": 2 }));
    assert_eq!(outcome.2, Some(ErrorCode::ConfigInvalid));
    let outcome = ended(alone("switch", &config), json!({}));
    assert_eq!(outcome.2, Some(ErrorCode::ExpressionError));
    let config = json!({ "cases": [{ "when": "input.n", "next": "s" }] });
    let outcome = ended(alone("switch", &config), json!({ "n": 1 }));
    assert_eq!(outcome.2, Some(ErrorCode::ExpressionError));
}

#[test]
fn a_transform_is_its_value_and_may_be_mapped_and_too_large() {
    let mut definition = alone("transform", &json!({ "value": { "twice": "${input.n * 2}" } }));
    assert_eq!(ended(definition.clone(), json!({ "n": 2 })).1, json!({ "twice": 4 }));
    definition["steps"][0]["output"] = json!("${result.twice + 1}");
    assert_eq!(ended(definition, json!({ "n": 2 })).1, json!(5));
    let large = json!({ "value": ["${input}", "${input}"] });
    let outcome = ended(alone("transform", &large), json!("x".repeat(600_000)));
    assert_eq!(outcome.2, Some(ErrorCode::OutputTooLarge));
}

#[test]
fn succeed_ends_the_execution_with_its_output_or_the_workflows() {
    let steps = json!([
        { "id": "a", "type": "transform", "config": { "value": 1 }, "next": "done" },
        { "id": "done", "type": "succeed", "config": { "output": { "own": "${steps.a.output}" } } },
    ]);
    let mut definition = json!({ "name": "w", "steps": steps, "output": "${steps.a.output}" });
    assert_eq!(ended(definition.clone(), json!(null)).1, json!({ "own": 1 }));
    definition["steps"][1]["config"] = json!({});
    assert_eq!(ended(definition, json!(null)).1, json!(1));
}

#[test]
fn fail_fails_with_the_authors_code_and_message() {
    let config = json!({ "code": "OUT_OF_STOCK", "message": "no ${input.what} left" });
    let mut run = Run::of(alone("fail", &config), json!({ "what": "tea" }));
    run.on(Event::Started);
    let failure = run.commands.iter().find_map(|command| match command {
        Command::FinishExecution { failure, .. } => failure.clone(),
        _ => None,
    });
    let failure = failure.unwrap();
    assert_eq!((failure.code, failure.message.as_str()), (ErrorCode::StepFailed, "no tea left"));
    assert_eq!(failure.details, Some(json!({ "code": "OUT_OF_STOCK" })));
}

#[test]
fn a_failing_control_step_leads_to_on_error() {
    let steps = json!([
        { "id": "s", "type": "fail", "config": { "code": "NO", "message": "m" }, "onError": "handle" },
        { "id": "handle", "type": "transform", "config": { "value": "${error.details.code}" } },
    ]);
    assert_eq!(ended(json!({ "name": "w", "steps": steps }), json!(null)).1, json!("NO"));
}

#[test]
fn a_wait_lasts_as_long_as_it_says_and_no_attempt_is_made() {
    let mut run =
        Run::of(alone("wait", &json!({ "durationMs": "${input.ms}" })), json!({ "ms": 500 }));
    run.on(Event::Started);
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    let until = run.now + TimeDelta::milliseconds(500);
    assert!(matches!(run.commands[..], [Command::WakeAt(at)] if at == until), "{:?}", run.commands);
    assert!(on_claim(&run.execution.state, false, run.now).is_empty());
    run.after(500);
    let found = on_claim(&run.execution.state, false, run.now);
    assert!(matches!(found[..], [Event::TimerDue]));
    run.on(Event::TimerDue);
    assert_eq!(run.records(), [("s", 1, RecordStatus::Succeeded)]);
    assert_eq!(run.finished().unwrap().1, json!({ "until": until }));
}

#[test]
fn a_wait_until_an_instant_that_has_passed_is_over_at_once() {
    let config = json!({ "until": "${input.at}" });
    let outcome = ended(alone("wait", &config), json!({ "at": "1969-01-01T00:00:00Z" }));
    assert_eq!(outcome.0, ExecutionStatus::Succeeded);
}

#[test]
fn a_wait_for_something_else_than_time_fails() {
    for (field, value) in [
        ("durationMs", json!(-1)),
        ("durationMs", json!(1.5)),
        ("durationMs", json!("soon")),
        ("durationMs", json!(315_360_000_001_u64)),
        ("until", json!("tomorrow")),
        ("until", json!([1])),
    ] {
        let config = json!({ field: "${input}" });
        let outcome = ended(alone("wait", &config), value.clone());
        assert_eq!(outcome.2, Some(ErrorCode::ConfigInvalid), "{field} {value}");
    }
}

#[test]
fn a_wait_ends_with_its_execution() {
    let waiting = || {
        let mut definition = alone("wait", &json!({ "durationMs": 60_000 }));
        definition["deadlineMs"] = json!(1_000);
        let mut run = Run::of(definition, json!(null));
        run.on(Event::Started);
        run
    };
    let mut run = waiting();
    let wake = run.now + TimeDelta::seconds(1);
    assert!(matches!(run.commands[..], [Command::WakeAt(at)] if at == wake));
    run.after(1_000).on(Event::DeadlinePassed);
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::DeadlineExceeded));
    let mut run = waiting();
    run.on(Event::CancelRequested { reason: None });
    assert_eq!(run.status(), ExecutionStatus::Cancelled);
    assert_eq!(run.execution.state.steps["s"].status, StepStatus::Cancelled);
}

#[test]
fn a_loop_over_a_wait_goes_on_until_its_switch_leads_out() {
    let mut run = Run::of(
        json!({ "name": "poll", "steps": [
            { "id": "ask", "type": "http", "config": {}, "next": "check" },
            { "id": "check", "type": "switch", "config": {
                "cases": [{ "when": "steps.ask.output == 'done'", "next": "end" }], "default": "pause" } },
            { "id": "pause", "type": "wait", "config": { "durationMs": 10 }, "next": "ask" },
            { "id": "end", "type": "succeed", "config": { "output": "${steps.pause.attempts}" } },
        ] }),
        json!(null),
    );
    run.on(Event::Started);
    for _ in 0..3 {
        run.succeed(json!("not yet")).after(10).on(Event::TimerDue);
        assert!(run.started().is_some());
    }
    run.succeed(json!("done"));
    assert_eq!(run.finished().unwrap().1, json!(3));
}

#[test]
fn decisions_in_a_circle_end() {
    let steps = json!([
        { "id": "a", "type": "switch", "config": { "cases": [{ "when": "true", "next": "b" }] } },
        { "id": "b", "type": "transform", "config": { "value": 1 }, "next": "a" },
    ]);
    let outcome = ended(json!({ "name": "w", "steps": steps }), json!(null));
    assert_eq!((outcome.0, outcome.2), (ExecutionStatus::Failed, Some(ErrorCode::Internal)));
}
