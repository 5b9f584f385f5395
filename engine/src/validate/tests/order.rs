//! Reads of steps that cannot have run: reported where that is certain, and nowhere else.

use serde_json::json;

use super::*;

/// What is said of a definition whose step `reader` reads step `read`, by the name of the code.
fn said(definition: &Value) -> Vec<(String, String)> {
    problems(definition)
}

fn reads(id: &str, read: &str, rest: &Value) -> Value {
    let mut step = step(id, rest);
    step["config"] = json!({ "message": format!("${{steps.{read}.output}}") });
    step
}

fn whole(steps: &[Value]) -> Value {
    json!({ "name": "w", "steps": steps })
}

fn late(pointer: &str) -> Vec<(String, String)> {
    vec![pair(pointer, "STEP_CANNOT_HAVE_RUN")]
}

fn switch(id: &str, to: [&str; 2]) -> Value {
    json!({ "id": id, "type": "switch",
        "config": { "cases": [{ "when": "input.x", "next": to[0] }], "default": to[1] } })
}

#[test]
fn a_step_that_comes_later_cannot_have_run() {
    let next = |to: &str| json!({ "next": to });
    let chain = [reads("a", "c", &next("b")), step("b", &next("c")), step("c", &json!({}))];
    assert_eq!(said(&whole(&chain)), late("/steps/0/config/message"));
    let found = validate_value(&whole(&chain), &Catalog).unwrap_err();
    assert_eq!(
        found[0].message,
        "the expression reads step `c`, which cannot have run: it comes after step `a`"
    );
    let earlier = [step("a", &next("b")), step("b", &next("c")), reads("c", "a", &json!({}))];
    assert_eq!(said(&whole(&earlier)), []);
    for field in ["when", "output", "retryPolicy"] {
        let read = match field {
            "when" => json!("steps.b.output == 1"),
            "output" => json!("${steps['b'].output}"),
            _ => json!({ "maxAttempts": 2, "when": "steps.b.status == 'x'" }),
        };
        let place = if field == "retryPolicy" { "retryPolicy/when" } else { field };
        let first = step("a", &json!({ "next": "b", field: read }));
        let found = said(&whole(&[first, step("b", &json!({}))]));
        assert_eq!(found, late(&format!("/steps/0/{place}")));
    }
}

#[test]
fn a_step_of_another_way_cannot_have_run() {
    let ways =
        |left: Value| whole(&[switch("s", ["left", "right"]), left, step("right", &json!({}))]);
    let found = validate_value(&ways(reads("left", "right", &json!({}))), &Catalog).unwrap_err();
    assert_eq!((&*found[0].pointer, found.len()), ("/steps/1/config/message", 1));
    assert!(found[0].message.ends_with("no way leads from it to step `left`"), "{found:?}");
    // Where they come together again, either may have run.
    let joined = whole(&[
        switch("s", ["left", "right"]),
        step("left", &json!({ "next": "end" })),
        step("right", &json!({ "next": "end" })),
        reads("end", "right", &json!({})),
    ]);
    assert_eq!(said(&joined), []);
}

#[test]
fn circles_and_failures_are_ways() {
    let back =
        [reads("a", "b", &json!({ "next": "b" })), switch("b", ["a", "c"]), step("c", &json!({}))];
    assert_eq!(said(&whole(&back)), []);
    let failing = [
        step("a", &json!({ "next": "b" })),
        step("b", &json!({ "onError": "c", "next": "d" })),
        reads("c", "b", &json!({})),
        step("d", &json!({})),
    ];
    assert_eq!(said(&whole(&failing)), []);
    let again =
        [reads("a", "mend", &json!({ "onError": "mend" })), step("mend", &json!({ "next": "a" }))];
    assert_eq!(said(&whole(&again)), []);
    let config = json!({ "event": { "name": "e" }, "onTimeout": "b" });
    let timed = [
        json!({ "id": "w", "type": "wait", "config": config, "next": "b" }),
        reads("b", "w", &json!({})),
    ];
    assert_eq!(said(&whole(&timed)), []);
    // A step's own record is there while it runs.
    assert_eq!(said(&whole(&[reads("a", "a", &json!({}))])), []);
}

#[test]
fn a_read_that_allows_for_absence_is_none_that_fails() {
    for read in [
        "default(steps.b.output, 1)",
        "default(steps['b'].output.x, 1)",
        "has(steps.b) ? steps.b.output : 1",
        "has(steps.b.output) && steps.b.output == 1",
        "steps.?b.?output.orValue(1)",
        "'b' in steps ? steps.b.output : 1",
        "steps[input.which].output",
    ] {
        let message = json!({ "message": format!("${{{read}}}") });
        let first = step("a", &json!({ "next": "b", "config": message }));
        assert_eq!(said(&whole(&[first, step("b", &json!({}))])), [], "{read}");
    }
    for read in ["steps.b.?output.orValue(1)", "steps.b.output + default(steps.a.x, 1)"] {
        let message = json!({ "message": format!("${{{read}}}") });
        let first = step("a", &json!({ "next": "b", "config": message }));
        let found = said(&whole(&[first, step("b", &json!({}))]));
        assert_eq!(found, late("/steps/0/config/message"), "{read}");
    }
}

#[test]
fn a_block_sees_what_had_run_when_its_step_began() {
    let around = |read: &str, next: &str| {
        let mut each = map("each", &json!([reads("one", read, &json!({}))]));
        each["next"] = json!(next);
        whole(&[step("a", &json!({ "next": "each" })), each, step("z", &json!({}))])
    };
    assert_eq!(said(&around("a", "z")), []);
    assert_eq!(said(&around("z", "z")), late("/steps/1/config/steps/0/config/message"));
    let mut outputs = around("a", "z");
    outputs["steps"][1]["config"]["output"] = json!("${steps.z.output} ${steps.one.output}");
    assert_eq!(said(&outputs), late("/steps/1/config/output"));
    outputs["steps"][1]["config"]["output"] = json!("${steps.a.output}");
    outputs["output"] = json!("${steps.z.output}");
    assert_eq!(said(&outputs), []);
    // Two blocks deep.
    let inner = map("inner", &json!([reads("one", "z", &json!({}))]));
    let mut outer = map("outer", &json!([inner]));
    outer["next"] = json!("z");
    let at = "/steps/0/config/steps/0/config/steps/0/config/message";
    assert_eq!(said(&whole(&[outer, step("z", &json!({}))])), late(at));
}

#[test]
fn what_undoes_or_handles_a_failure_may_read_anything() {
    let undo = json!({ "steps": [reads("undo", "b", &json!({}))] });
    let first = step("a", &json!({ "next": "b", "compensate": undo }));
    let mut definition = whole(&[first, step("b", &json!({}))]);
    definition["onFailure"] =
        json!({ "steps": [map("tell", &json!([reads("t", "b", &json!({}))]))] });
    assert_eq!(said(&definition), []);
    // Within itself it has an order like any other.
    definition["onFailure"] = json!({ "steps": [
        reads("t", "u", &json!({ "next": "u" })), step("u", &json!({})),
    ] });
    assert_eq!(said(&definition), late("/onFailure/steps/0/config/message"));
}

#[test]
fn a_step_of_another_block_is_said_to_be_there() {
    let branch = |step: Value| json!({ "steps": [step] });
    let config = json!({ "branches": {
        "one": branch(step("left", &json!({}))),
        "two": branch(reads("right", "left", &json!({}))),
    } });
    let fan = json!({ "id": "fan", "type": "parallel", "config": config, "next": "after" });
    let definition = whole(&[fan, reads("after", "left", &json!({}))]);
    let found = validate_value(&definition, &Catalog).unwrap_err();
    let helps: Vec<_> = found.iter().map(|it| (&*it.code, it.help.as_deref().unwrap())).collect();
    assert_eq!(
        helps,
        [
            (
                "UNKNOWN_STEP",
                "a block gives only its output: read `steps['fan'].output` after `fan`"
            ),
            (
                "UNKNOWN_STEP",
                "blocks beside each other run apart; read it after `fan`, or put both into one"
            ),
        ]
    );
}

#[test]
fn nothing_is_certain_where_a_way_is_not_known() {
    let next = json!({ "next": "b" });
    for second in [
        step("b", &json!({ "next": "nowhere" })),
        step("b", &json!({ "nxt": "a" })),
        step("b", &json!({ "type": "teleport" })),
        step("b", &json!({ "onError": 5 })),
        json!({ "id": "b", "type": "switch", "config": { "cases": "?" } }),
    ] {
        let found = said(&whole(&[reads("a", "b", &next), second.clone()]));
        assert!(found.iter().all(|(_, code)| code != "STEP_CANNOT_HAVE_RUN"), "{second}");
        assert_eq!(found.len(), 1, "{second}: {found:?}");
    }
    // One that nothing leads to is reported as such, and once.
    let lost = [reads("a", "b", &json!({})), step("b", &json!({}))];
    assert_eq!(said(&whole(&lost)), [pair("/steps/1", "UNREACHABLE_STEP")]);
}
