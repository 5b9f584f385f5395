//! One field that is refused does not hide what is wrong elsewhere, and is not blamed twice.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn found(definition: &Value) -> BTreeSet<(String, String)> {
    problems(definition).into_iter().collect()
}

fn all<const N: usize>(expected: [(&str, &str); N]) -> BTreeSet<(String, String)> {
    expected.into_iter().map(|(at, code)| pair(at, code)).collect()
}

#[test]
fn a_refused_field_does_not_hide_what_is_wrong_elsewhere() {
    let definition = json!({ "name": "w", "colour": "red", "steps": [
        step("a", &json!({ "retryPolcy": {}, "timeoutMs": "5", "next": "b" })),
        step("b", &json!({ "config": { "message": "${input.}", "mesage": 1 }, "next": "nowhere" })),
        step("b", &json!({ "type": "htpp" })),
        step("d", &json!({ "when": "steps.z.output", "onError": 7 })),
    ], "output": "${vars.none}", "retention": { "failedDays": "7d" } });
    let expected = [
        ("/colour", "UNKNOWN_FIELD"),
        ("/steps/0/retryPolcy", "UNKNOWN_FIELD"),
        ("/steps/0/timeoutMs", "WRONG_TYPE"),
        ("/steps/1/config/mesage", "UNKNOWN_FIELD"),
        ("/steps/1/config/message", "EXPRESSION_INVALID"),
        ("/steps/1/next", "DANGLING_NEXT"),
        ("/steps/2/id", "DUPLICATE_ID"),
        ("/steps/2/type", "UNKNOWN_STEP_TYPE"),
        ("/steps/3/when", "UNKNOWN_STEP"),
        ("/steps/3/onError", "WRONG_TYPE"),
        ("/output", "UNKNOWN_VAR"),
        ("/retention/failedDays", "WRONG_TYPE"),
    ];
    assert_eq!(found(&definition), all(expected));
}

#[test]
fn a_fault_in_a_block_hides_nothing_in_it() {
    let inner = json!([
        { "id": "a", "type": "log", "config": { "message": "${steps.z.output}" }, "wrong": 1, "next": "gone" },
        { "id": "c", "type": "wait", "config": { "durationMs": true } },
    ]);
    let mut each = map("each", &inner);
    each["config"]["maxConcurency"] = json!(5);
    each["compensate"] = json!({ "steps": [log("undo", &json!({ "message": 5 }))], "otuput": 1 });
    let at = |rest: &str| format!("/steps/0/config/steps/{rest}");
    let found = found(&json!({ "name": "w", "steps": [each] }));
    let expected = [
        (&*at("0/wrong"), "UNKNOWN_FIELD"),
        (&*at("0/next"), "DANGLING_NEXT"),
        (&*at("0/config/message"), "UNKNOWN_STEP"),
        (&*at("1/config/durationMs"), "CONFIG_INVALID"),
        ("/steps/0/config/maxConcurency", "UNKNOWN_FIELD"),
        ("/steps/0/compensate/otuput", "UNKNOWN_FIELD"),
        ("/steps/0/compensate/steps/0/config/message", "CONFIG_INVALID"),
    ];
    assert_eq!(found, all(expected));
}

#[test]
fn an_optional_object_is_judged_by_its_fields() {
    let with = |field: &str, value: Value| {
        let value = json!({ field: value });
        let found = validate_value(&json!({ "name": "w", "steps": [step("a", &value)] }), &Catalog);
        let found = found.unwrap_err().into_iter().map(|it| (it.pointer, it.code, it.help));
        found.collect::<Vec<_>>()
    };
    let said = |at: &str, code: &str, help: Option<&str>| {
        (format!("/steps/0/{at}"), code.to_owned(), help.map(str::to_owned))
    };
    assert_eq!(
        with("retryPolicy", json!({ "maxAtempts": 3, "delayMs": "1s", "jitter": "ful" })),
        [
            said("retryPolicy/delayMs", "WRONG_TYPE", None),
            said("retryPolicy/jitter", "SCHEMA", Some("did you mean `full`?")),
            said("retryPolicy/maxAtempts", "UNKNOWN_FIELD", Some("did you mean `maxAttempts`?")),
        ]
    );
    assert_eq!(with("retryPolicy", json!(5)), [said("retryPolicy", "WRONG_TYPE", None)]);
    let codes = json!({ "retryOn": ["TIMEOUT", "TIMEOT"] });
    let near = Some("did you mean `TIMEOUT`?");
    assert_eq!(with("retryPolicy", codes), [said("retryPolicy/retryOn/1", "SCHEMA", near)]);
    let block = json!({ "steps": [{ "id": "u", "typ": "log" }] });
    assert_eq!(
        with("compensate", block),
        [said("compensate/steps/0/typ", "UNKNOWN_FIELD", Some("did you mean `type`?"))]
    );
}

#[test]
fn a_trigger_is_judged_by_its_type() {
    let with = |trigger: Value| {
        let definition = json!({ "name": "w", "steps": [step("a", &json!({}))],
            "triggers": [trigger, { "type": "event", "event": "e", "match": "input.a" }] });
        problems(&definition)
    };
    let second = pair("/triggers/1/match", "EXPRESSION_INVALID");
    for (trigger, at, code) in [
        (json!({ "type": "evnt", "event": "e" }), "/type", "SCHEMA"),
        (json!({ "type": "event", "event": "e", "mach": "1" }), "/mach", "UNKNOWN_FIELD"),
        (json!({ "type": "event" }), "", "MISSING_FIELD"),
        (json!({ "type": "event", "event": 5 }), "/event", "WRONG_TYPE"),
        (json!("manual"), "", "WRONG_TYPE"),
    ] {
        let expected = [pair(&format!("/triggers/0{at}"), code), second.clone()];
        assert_eq!(with(trigger.clone()), expected, "{trigger}");
    }
}

#[test]
fn what_may_follow_from_a_refused_field_is_not_reported_as_well() {
    let chain = |first: Value| json!({ "name": "w", "steps": [first, step("b", &json!({}))] });
    for (first, at) in [
        (step("a", &json!({ "nxt": "b" })), "/steps/0/nxt"),
        (step("a", &json!({ "next": 2 })), "/steps/0/next"),
        (step("a", &json!({ "next": ["b"] })), "/steps/0/next"),
        (json!({ "id": "a", "type": "switch", "config": { "cases": 5 } }), "/steps/0/config/cases"),
        (
            json!({ "id": "a", "type": "switch", "config": { "cases": [{ "when": "true" }] } }),
            "/steps/0/config/cases/0",
        ),
        (
            json!({ "id": "a", "type": "wait", "config": { "event": "e", "onTimeout": "b" } }),
            "/steps/0/config/event",
        ),
        (json!({ "id": "a", "type": "swich", "config": { "default": "b" } }), "/steps/0/type"),
        (json!({ "id": "a", "config": {}, "next": "b" }), "/steps/0"),
    ] {
        let found = problems(&chain(first.clone()));
        assert_eq!(found.iter().map(|it| &*it.0).collect::<Vec<_>>(), [at], "{first}");
    }
    // The names of steps and constants that were misplaced.
    let nameless = json!({ "name": "w", "steps": [
        step("a", &json!({ "next": "b" })),
        { "ident": "b", "type": "log", "config": { "message": "${steps.b.attempts}" } },
    ], "variables": { "x": 1 }, "output": "${vars.x}${steps.b.output}" });
    let expected = [("/variables", "UNKNOWN_FIELD"), ("/steps/1/ident", "UNKNOWN_FIELD")];
    assert_eq!(found(&nameless), all(expected));
    // What is misspelt is not missing as well, nor is anything in it.
    let misspelt = json!({ "name": "w", "steps": [
        { "id": "a", "type": "log", "confg": { "message": "hi" }, "next": "b" },
        { "id": "b", "type": "wait", "config": { "durationMS": 5 } },
    ] });
    let expected =
        [("/steps/0/confg", "UNKNOWN_FIELD"), ("/steps/1/config/durationMS", "UNKNOWN_FIELD")];
    assert_eq!(found(&misspelt), all(expected));
}

#[test]
fn ways_to_nowhere_hide_only_what_they_may_explain() {
    let lost = json!({ "name": "w", "steps": [
        step("a", &json!({ "next": "bb" })),
        step("b", &json!({})),
    ] });
    assert_eq!(found(&lost), all([("/steps/0/next", "DANGLING_NEXT")]));
    let apart = json!({ "name": "w", "steps": [
        step("a", &json!({ "clour": "b1" })),
        step("b", &json!({ "next": "nowhere" })),
    ] });
    let expected = [
        ("/steps/0/clour", "UNKNOWN_FIELD"),
        ("/steps/1", "UNREACHABLE_STEP"),
        ("/steps/1/next", "DANGLING_NEXT"),
    ];
    assert_eq!(found(&apart), all(expected));
}

#[test]
fn documents_of_which_nothing_can_be_read_are_refused() {
    for value in [json!(null), json!([1]), json!("w"), json!(5), json!({}), json!({ "steps": 5 })] {
        assert_ne!(problems(&value), [], "{value}");
    }
    let odd =
        json!({ "name": "w", "steps": [5, null, [], "a", { "id": 5, "type": 6, "config": 7 }] });
    assert!(found(&odd).iter().all(|(_, code)| code == "WRONG_TYPE"), "{:?}", found(&odd));
    assert_eq!(found(&odd).len(), 7);
}

#[test]
fn an_answer_has_at_most_a_hundred_problems() {
    let steps = |count: usize| {
        let step = |at: usize| {
            let next = if at + 1 < count { format!("s{}", at + 1) } else { "none".to_owned() };
            step(&format!("s{at}"), &json!({ "next": next, "config": { "message": "${1 +}" } }))
        };
        let steps: Vec<_> = (0..count).map(step).collect();
        json!({ "name": "w", "steps": steps }).to_string()
    };
    let count = |steps: &str| validate_text(steps, &Catalog).unwrap_err().len();
    assert_eq!(count(&steps(98)), 99);
    assert_eq!(count(&steps(99)), 100);
    let over = validate_text(&steps(100), &Catalog).unwrap_err();
    assert_eq!((over.len(), &*over[99].code), (100, "TOO_MANY_PROBLEMS"));
    assert!(over[..99].iter().all(|it| it.code != "TOO_MANY_PROBLEMS"));
    let fields: serde_json::Map<_, _> = (0..500).map(|at| (format!("odd{at}"), json!(1))).collect();
    let mut odd = json!({ "name": "w", "steps": [step("a", &json!({}))] });
    odd.as_object_mut().unwrap().extend(fields);
    let odd = validate_text(&odd.to_string(), &Catalog).unwrap_err();
    assert_eq!((odd.len(), &*odd[99].code), (100, "TOO_MANY_PROBLEMS"));
}
