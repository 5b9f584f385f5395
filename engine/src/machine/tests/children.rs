//! Families: what is begun, what comes of it, and what is told to it.

use super::*;

/// What a `StartChildren` among the commands begins.
fn family(run: &Run) -> &Family {
    let mut families = run.commands.iter().filter_map(|command| match command {
        Command::StartChildren(family) => Some(&**family),
        _ => None,
    });
    families.next().expect("children were begun")
}

fn told(run: &Run) -> Vec<&Fact> {
    let told = run.commands.iter().filter_map(|command| match command {
        Command::TellChildren { fact, .. } => Some(fact),
        _ => None,
    });
    told.collect()
}

/// The run of a child that a family begins.
fn child(run: &Run, ordinal: usize) -> Run {
    let family = family(run);
    let begun = &family.children[ordinal];
    let plan = run.execution.plan.block(begun.block.as_deref().unwrap()).unwrap();
    let around = Arc::new(family.around.clone().unwrap());
    let is_item = matches!(begun.block.as_deref(), Some(block) if !block.contains('.'));
    let index = u32::try_from(ordinal).unwrap();
    let item = is_item.then(|| Item { value: Arc::clone(&begun.input), index });
    let execution = Execution {
        id: begun.id,
        plan: Arc::clone(plan),
        input: Arc::clone(&around.input),
        around: Some(around),
        item,
        callbacks: CallbackKey::default(),
        sampled: true,
        state: State::new(run.now, None),
    };
    Run { execution, now: run.now, commands: Vec::new() }
}

fn all_ended(outputs: Vec<Value>) -> Event {
    let ended = u32::try_from(outputs.len()).unwrap();
    let outputs = outputs.into_iter().map(Some).collect();
    let outcomes = Outcomes { ended, outputs, ..Outcomes::default() };
    Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(outcomes) }
}

/// Ended with one output for each that is given, of which some failed.
fn some_failed(outputs: Vec<Option<Value>>) -> Event {
    let count = |n: usize| u32::try_from(n).unwrap();
    let failed: Vec<_> = (0..outputs.len()).filter(|at| outputs[*at].is_none()).collect();
    let failures = failed.iter().map(|at| ChildFailure {
        ordinal: count(*at),
        id: Uuid::from_u128(*at as u128),
        failure: timeout(),
    });
    let outcomes = Outcomes {
        ended: count(outputs.len()),
        failed: count(failed.len()),
        failures: failures.collect(),
        outputs,
        ..Outcomes::default()
    };
    Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(outcomes) }
}

fn failure(run: &Run) -> &Failure {
    let mut failures = run.commands.iter().filter_map(|command| match command {
        Command::FinishExecution { failure, .. } => failure.as_ref(),
        _ => None,
    });
    failures.next().expect("the execution failed")
}

fn map(config: &Value) -> Run {
    let mut config = config.clone();
    config["items"] = json!("${input.items}");
    if config.get("steps").is_none() {
        config["steps"] =
            json!([{ "id": "each", "type": "log", "config": { "message": "${item}" } }]);
    }
    let definition =
        json!({ "name": "w", "steps": [{ "id": "m", "type": "map", "config": config }] });
    Run::of(definition, json!({ "items": [10, 20, 30] }))
}

fn parallel(config: Value) -> Run {
    let log = |id: &str| json!({ "steps": [{ "id": id, "type": "log" }] });
    let mut config = config;
    config["branches"] = json!({ "left": log("l"), "right": log("r") });
    let definition =
        json!({ "name": "w", "steps": [{ "id": "p", "type": "parallel", "config": config }] });
    Run::of(definition, json!({}))
}

fn call(config: &Value) -> Run {
    let definition =
        json!({ "name": "w", "steps": [{ "id": "c", "type": "workflow", "config": config }] });
    Run::of(definition, json!({ "x": 4 }))
}

#[test]
fn a_map_begins_a_child_for_each_item_and_gives_the_list_of_their_outputs() {
    let mut run = map(&json!({ "maxConcurrency": 2 }));
    run.on(Event::Started);
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    let begun = family(&run);
    assert_eq!((begun.concurrency, begun.stop_over, begun.children.len()), (2, 0, 3));
    assert_eq!(begun.children[2].block.as_deref(), Some("m"));
    let mut second = child(&run, 1);
    second.on(Event::Started);
    assert_eq!(second.started().unwrap().config, json!({ "message": 20 }));
    run.on(all_ended(vec![json!(1), json!(2), json!(3)]));
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!([1, 2, 3]), None)));
    assert_eq!(run.records(), [("m", 1, RecordStatus::Succeeded)]);
}

#[test]
fn no_items_are_done_at_once() {
    let mut run = map(&json!({}));
    run.execution.input = Arc::new(json!({ "items": [] }));
    run.on(Event::Started);
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!([]), None)));
}

#[test]
fn items_are_handed_over_in_batches() {
    let mut run = map(&json!({ "batchSize": 2 }));
    run.on(Event::Started);
    let inputs: Vec<_> = family(&run).children.iter().map(|child| (*child.input).clone()).collect();
    assert_eq!(inputs, [json!([10, 20]), json!([30])]);
}

#[test]
fn items_that_are_no_list_or_too_many_fail_the_step() {
    let cases = [
        (json!({ "items": "abc" }), "`items` is a string, not a list"),
        (json!({ "items": vec![0; 10_001] }), "`items` has 10001 items, the limit is 10000"),
    ];
    for (input, message) in cases {
        let mut run = map(&json!({}));
        run.execution.input = Arc::new(input);
        run.on(Event::Started);
        assert_eq!(failure(&run).code, ErrorCode::ConfigInvalid);
        assert!(failure(&run).message.starts_with(message), "{}", failure(&run).message);
    }
    let mut run = map(&json!({}));
    run.execution.input = Arc::new(json!({ "items": vec![0; 10_000] }));
    assert_eq!(family(run.on(Event::Started)).children.len(), 10_000);
}

#[test]
fn failures_are_tolerated_up_to_their_number_or_part() {
    for (tolerated, fails) in
        [(json!(0), true), (json!(1), false), (json!("33%"), true), (json!("34%"), false)]
    {
        let mut run = map(&json!({ "tolerateFailures": tolerated }));
        run.on(Event::Started).on(some_failed(vec![Some(json!(1)), None, Some(json!(3))]));
        let (status, output, code) = run.finished().unwrap();
        if fails {
            assert_eq!(code, Some(ErrorCode::ChildFailed), "{tolerated}");
            let details = failure(&run).details.clone().unwrap();
            assert_eq!(details["failures"][0]["name"], json!(1));
            assert_eq!(details["failures"][0]["code"], json!("TIMEOUT"));
        } else {
            assert_eq!((status, output), (ExecutionStatus::Succeeded, json!([1, null, 3])));
        }
    }
}

#[test]
fn without_collecting_only_numbers_are_given() {
    let mut run = map(&json!({ "tolerateFailures": 3, "collect": false }));
    let outcomes = Outcomes { ended: 3, failed: 1, output_bytes: 9_000_000, ..Outcomes::default() };
    run.on(Event::Started).on(Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(outcomes) });
    let counts = json!({ "total": 3, "succeeded": 2, "failed": 1 });
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, counts, None)));
}

#[test]
fn outputs_that_are_too_large_together_fail_the_step() {
    for (output_bytes, code) in [(1_048_576, None), (1_048_577, Some(ErrorCode::OutputTooLarge))] {
        let mut run = map(&json!({}));
        let outcomes = Outcomes { ended: 3, output_bytes, ..Outcomes::default() };
        run.on(Event::Started)
            .on(Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(outcomes) });
        assert_eq!(run.finished().unwrap().2, code);
    }
}

#[test]
fn branches_give_an_object_and_the_first_failure_stops_the_others() {
    let mut run = parallel(json!({}));
    run.on(Event::Started);
    let blocks: Vec<_> = family(&run).children.iter().map(|it| it.block.clone().unwrap()).collect();
    assert_eq!(blocks, ["p.left", "p.right"]);
    assert_eq!(family(&run).stop_over, 0);
    let mut failed = run.execution.clone();
    run.on(all_ended(vec![json!("a"), json!("b")]));
    let outputs = json!({ "left": "a", "right": "b" });
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, outputs, None)));

    std::mem::swap(&mut run.execution, &mut failed);
    run.on(some_failed(vec![None]));
    assert!(matches!(told(&run)[..], [Fact::Cancel { .. }]), "the right one has not ended");
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::ChildFailed));
    assert_eq!(parallel(json!({ "failFast": false })).on(Event::Started).commands.len(), 2);
    assert_eq!(family(parallel(json!({ "failFast": false })).on(Event::Started)).stop_over, 2);
}

#[test]
fn a_call_has_its_input_and_gives_the_output_of_the_other_workflow() {
    let mut run =
        call(&json!({ "workflow": "other", "version": 3, "input": { "y": "${input.x}" } }));
    run.on(Event::Started);
    let begun = family(&run);
    let called = begun.call.as_ref().unwrap();
    assert_eq!(
        (called.workflow.as_str(), called.version, called.detached),
        ("other", Some(3), false)
    );
    assert_eq!(*begun.children[0].input, json!({ "y": 4 }));
    assert_eq!(begun.depth, 1);
    run.on(all_ended(vec![json!({ "z": 5 })]));
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, json!({ "z": 5 }), None)));
}

#[test]
fn a_call_that_is_not_waited_for_gives_the_id_and_goes_on() {
    let mut run = call(&json!({ "workflow": "other", "wait": false }));
    run.on(Event::Started);
    let id = family(&run).children[0].id;
    assert!(family(&run).call.as_ref().unwrap().detached);
    run.on(Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(Outcomes::default()) });
    let output = json!({ "executionId": id });
    assert_eq!(run.finished(), Some((ExecutionStatus::Succeeded, output, None)));
    assert!(told(&run).is_empty());
}

#[test]
fn calls_are_bounded_in_depth() {
    let mut run = call(&json!({ "workflow": "w" }));
    run.execution.state.depth = MAX_CALL_DEPTH - 1;
    assert_eq!(family(run.on(Event::Started)).depth, MAX_CALL_DEPTH);
    let mut run = call(&json!({ "workflow": "w" }));
    run.execution.state.depth = MAX_CALL_DEPTH;
    run.on(Event::Started);
    assert!(failure(&run).message.contains("call one another"), "{}", failure(&run));
}

#[test]
fn a_family_that_cannot_begin_fails_its_step_which_on_error_may_catch() {
    let mut run = Run::of(
        json!({ "name": "w", "steps": [
            { "id": "c", "type": "workflow", "config": { "workflow": "gone" }, "onError": "h" },
            { "id": "h", "type": "log", "config": { "message": "${error.code} ${error.step}" } },
        ] }),
        json!({}),
    );
    let refusal = Failure::permanent(ErrorCode::ConfigInvalid, "there is no workflow `gone`");
    run.on(Event::Started)
        .on(Event::ChildrenEnded { visit: 1, outcome: Outcome::Refused(refusal) });
    assert_eq!(run.started().unwrap().config, json!({ "message": "CONFIG_INVALID c" }));
}

#[test]
fn a_failed_family_is_begun_again_only_if_the_policy_names_the_code() {
    let mut run = Run::of(
        json!({ "name": "w", "steps": [{ "id": "c", "type": "workflow", "config": { "workflow": "o" },
            "retryPolicy": { "maxAttempts": 2, "retryOn": ["CHILD_FAILED"], "delayMs": 1000, "jitter": "none" } }] }),
        json!({}),
    );
    run.on(Event::Started).on(some_failed(vec![None]));
    assert_eq!(run.status(), ExecutionStatus::Waiting);
    run.after(1_000).on(Event::TimerDue);
    assert_eq!(family(&run).visit, 2);
    let late = Event::ChildrenEnded { visit: 1, outcome: Outcome::Ended(Outcomes::default()) };
    let rejection = transition(&run.execution, late, run.now).unwrap_err();
    assert_eq!(rejection, Rejection::NotAwaited { visit: 1 });
}

#[test]
fn blocks_see_what_is_around_them_and_nothing_that_they_do_not_read() {
    let inner = json!([{ "id": "p", "type": "parallel", "config": { "branches": { "one": { "steps": [
        { "id": "deep", "type": "log", "config": {
            "message": "${steps.a.output} ${item.n} ${index} ${input.x} ${execution.id}" } } ] } } } }]);
    let mut run = Run::of(
        json!({ "name": "w", "steps": [
            { "id": "a", "type": "log", "next": "b" }, { "id": "b", "type": "log", "next": "m" },
            { "id": "m", "type": "map", "config": { "items": "${input.items}", "steps": inner } },
        ] }),
        json!({ "items": [{ "n": 7 }, { "n": 8 }], "x": "!" }),
    );
    run.on(Event::Started).succeed(json!("A")).succeed(json!("B"));
    let around = family(&run).around.clone().unwrap();
    assert_eq!(around.steps.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!((around.path.len(), around.error), (0, None));
    let mut item = child(&run, 1);
    item.on(Event::Started);
    // What is stored of it comes back whole.
    let around = family(&item).around.clone().unwrap();
    let text = serde_json::to_string(&around).unwrap();
    assert_eq!(serde_json::from_str::<Surroundings>(&text).unwrap(), around);
    assert_eq!(around.path, [1]);
    let plan = run.execution.plan.block("p.one").unwrap();
    let begun = &family(&item).children[0];
    let execution = Execution {
        id: begun.id,
        plan: Arc::clone(plan),
        input: Arc::clone(&around.input),
        around: Some(Arc::new(around)),
        item: None,
        callbacks: CallbackKey::default(),
        sampled: true,
        state: State::new(run.now, None),
    };
    let mut deep = Run { execution, now: run.now, commands: Vec::new() };
    deep.on(Event::Started);
    let message = format!("A 8 1 ! {}", run.execution.id);
    assert_eq!(deep.started().unwrap().config, json!({ "message": message }));
}

#[test]
fn cancel_and_deadline_and_timeout_reach_the_children() {
    for event in [Event::CancelRequested { reason: None }, Event::DeadlinePassed] {
        let mut run = map(&json!({}));
        run.on(Event::Started).on(event);
        assert!(matches!(told(&run)[..], [Fact::Cancel { .. }]));
        assert!(run.status().is_terminal());
    }
    let step =
        json!({ "id": "c", "type": "workflow", "config": { "workflow": "o" }, "timeoutMs": 50 });
    let mut run = Run::of(json!({ "name": "w", "steps": [step] }), json!({}));
    run.on(Event::Started);
    assert_eq!(run.execution.state.due_at(), Some(run.now + TimeDelta::milliseconds(50)));
    run.after(50).on(Event::TimerDue);
    assert!(matches!(told(&run)[..], [Fact::Cancel { .. }]));
    assert_eq!(run.finished().unwrap().2, Some(ErrorCode::Timeout));
}

#[test]
fn a_family_is_waited_for_thirty_days_at_most_if_the_step_does_not_say() {
    let mut run = map(&json!({}));
    run.on(Event::Started);
    assert_eq!(run.execution.state.due_at(), Some(run.now + TimeDelta::days(30)));
    assert!(on_claim(&run.execution.state, true, run.now).is_empty(), "nothing is due");
}

#[test]
fn a_deadline_that_children_were_told_of_first_is_the_parents_too() {
    let step = json!({ "id": "c", "type": "workflow", "config": { "workflow": "o" } });
    let definition = json!({ "name": "w", "deadlineMs": 1000, "steps": [step] });
    for (after, code) in [(999, ErrorCode::ChildFailed), (1_000, ErrorCode::DeadlineExceeded)] {
        let mut run = Run::of(definition.clone(), json!({}));
        run.on(Event::Started).after(after).on(some_failed(vec![None]));
        assert_eq!(run.finished().unwrap().2, Some(code));
    }
}

#[test]
fn pause_and_resume_reach_the_children_and_their_end_is_taken_in_meanwhile() {
    let mut run = Run::of(
        json!({ "name": "w", "steps": [
            { "id": "c", "type": "workflow", "config": { "workflow": "o" }, "next": "d" },
            { "id": "d", "type": "log" },
        ] }),
        json!({}),
    );
    run.on(Event::Started).on(Event::PauseRequested { reason: None });
    assert!(matches!(told(&run)[..], [Fact::Pause { .. }]));
    let mut ended = Run { execution: run.execution.clone(), now: run.now, commands: Vec::new() };
    run.on(Event::ResumeRequested);
    assert_eq!(told(&run), [&Fact::Resume]);
    assert_eq!(run.status(), ExecutionStatus::Waiting);

    ended.on(all_ended(vec![json!(1)]));
    assert_eq!(ended.status(), ExecutionStatus::Paused);
    assert!(ended.started().is_none(), "what follows is held back");
    ended.on(Event::ResumeRequested);
    assert_eq!(ended.started().unwrap().step.step.id, "d");
}

#[test]
fn children_are_not_begun_while_the_execution_is_to_rest() {
    let mut run = Run::of(
        json!({ "name": "w", "steps": [
            { "id": "a", "type": "log", "next": "c" },
            { "id": "c", "type": "workflow", "config": { "workflow": "o" } },
        ] }),
        json!({}),
    );
    run.on(Event::Started).on(Event::PauseRequested { reason: None }).succeed(json!(1));
    assert_eq!(run.status(), ExecutionStatus::Paused);
    assert!(!run.commands.iter().any(|it| matches!(it, Command::StartChildren(_))));
    run.on(Event::ResumeRequested);
    assert_eq!(family(&run).children.len(), 1);
}
