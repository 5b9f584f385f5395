//! What authors get wrong, and what they are told.

use serde_json::{Value, json};

use super::*;

mod order;
mod salvaged;

struct Catalog;

impl StepCatalog for Catalog {
    fn native(&self, name: &str) -> CatalogEntry {
        if name != "log" {
            return CatalogEntry::Unknown { help: Some("there are `log`".into()) };
        }
        CatalogEntry::Known {
            config_schema: Some(json!({
                "type": "object",
                "properties": { "message": { "type": "string" }, "count": { "type": "integer" } },
                "required": ["message"],
                "additionalProperties": false,
            })),
        }
    }

    fn plugin(&self, _: &PluginReference) -> CatalogEntry {
        CatalogEntry::Unchecked
    }

    fn faulty_rule(&self, rule: &str) -> Option<String> {
        (!rule.starts_with("https://")).then(|| "it has no scheme".to_owned())
    }
}

fn problems(value: &Value) -> Vec<(String, String)> {
    let problems = validate_value(value, &Catalog).err().unwrap_or_default();
    problems.into_iter().map(|problem| (problem.pointer, problem.code)).collect()
}

fn step(id: &str, rest: &Value) -> Value {
    let mut step = json!({ "id": id, "type": "log", "config": { "message": "m" } });
    step.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    step
}

fn pair(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[test]
fn the_smallest_definition_is_valid() {
    assert_eq!(problems(&json!({ "name": "w", "steps": [step("a", &json!({}))] })), []);
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems(&json!({ "name": "w", "steps": [
        step("a", &json!({ "next": "b", "onError": "nowhere" })),
        step("b", &json!({ "config": { "message": "${input.}" } })),
        step("b", &json!({ "type": "htpp" })),
    ] }));
    assert_eq!(
        found,
        [
            pair("/steps/2/id", "DUPLICATE_ID"),
            pair("/steps/0/onError", "DANGLING_ON_ERROR"),
            pair("/steps/2/type", "UNKNOWN_STEP_TYPE"),
            pair("/steps/1/config/message", "EXPRESSION_INVALID"),
        ]
    );
}

#[test]
fn unknown_fields_are_refused_with_a_suggestion() {
    let value = json!({ "name": "w", "step": [], "steps": [step("a", &json!({ "retryPolcy": {}, "timeoutMs": "5" }))] });
    let problems = validate_value(&value, &Catalog).unwrap_err();
    let seen: Vec<_> = problems
        .iter()
        .map(|problem| (problem.pointer.as_str(), problem.code.as_str(), problem.help.as_deref()))
        .collect();
    assert!(seen.contains(&("/step", "UNKNOWN_FIELD", Some("did you mean `steps`?"))), "{seen:?}");
    assert!(
        seen.contains(&(
            "/steps/0/retryPolcy",
            "UNKNOWN_FIELD",
            Some("did you mean `retryPolicy`?")
        )),
        "{seen:?}"
    );
    assert!(seen.contains(&("/steps/0/timeoutMs", "WRONG_TYPE", None)), "{seen:?}");
}

#[test]
fn what_later_versions_add_is_unknown_now() {
    let base = json!({ "name": "w", "steps": [step("a", &json!({}))] });
    for (field, value) in [
        ("trigger", json!({ "type": "schedule", "cron": "* * * * *" })),
        ("concurrency", json!([])),
        ("onFailure", json!([])),
    ] {
        let mut definition = base.clone();
        definition[field] = value;
        assert_ne!(problems(&definition), [], "{field}");
    }
    assert_eq!(
        problems(&json!({ "name": "w", "steps": [step("a", &json!({ "type": "teleport" }))] })),
        [pair("/steps/0/type", "UNKNOWN_STEP_TYPE")]
    );
}

#[test]
fn a_config_is_checked_against_its_type_except_where_an_expression_stands() {
    let config = |config: Value| {
        problems(&json!({ "name": "w", "steps": [step("a", &json!({ "config": config }))] }))
    };
    assert_eq!(config(json!({ "message": "x", "count": "${input.n}" })), []);
    assert_eq!(
        config(json!({ "message": "x", "count": "n" })),
        [pair("/steps/0/config/count", "CONFIG_INVALID")]
    );
    assert_eq!(config(json!({ "mesage": "x" })).len(), 2);
}

#[test]
fn the_ways_through_the_steps_are_checked() {
    assert_eq!(
        problems(&json!({ "name": "w", "steps": [step("a", &json!({})), step("b", &json!({}))] })),
        [pair("/steps/1", "UNREACHABLE_STEP")]
    );
    assert_eq!(
        problems(&json!({ "name": "w", "steps": [
            step("a", &json!({ "next": "b" })), step("b", &json!({ "next": "a" })),
        ] })),
        [pair("/steps/0/next", "ENDLESS_CYCLE")]
    );
    let retried_by_hand = json!({ "name": "w", "steps": [
        step("a", &json!({ "onError": "b" })), step("b", &json!({ "next": "a" })),
    ] });
    assert_eq!(problems(&retried_by_hand), []);
}

#[test]
fn expressions_may_read_only_steps_that_exist() {
    let definition = json!({ "name": "w", "steps": [step("first", &json!({}))], "output": "${steps.frist.output}" });
    let found = validate_value(&definition, &Catalog).unwrap_err();
    assert_eq!((found[0].pointer.as_str(), found[0].code.as_str()), ("/output", "UNKNOWN_STEP"));
    assert_eq!(found[0].help.as_deref(), Some("did you mean `first`?"));
}

#[test]
fn limits_are_for_plugins() {
    let found = problems(
        &json!({ "name": "w", "steps": [step("a", &json!({ "limits": { "fuel": 1 } }))] }),
    );
    assert_eq!(found, [pair("/steps/0/limits", "LIMITS_NOT_APPLICABLE")]);
    let plugin = json!({ "name": "w", "steps": [step("a", &json!({ "type": "acme/x@^1", "limits": { "fuel": 1 } }))] });
    assert_eq!(problems(&plugin), []);
    let hosts = json!({ "hosts": ["https://a.test", "nonsense", "https://b.test", "ftp"] });
    let plugin = json!({ "name": "w", "steps": [step("a", &json!({ "type": "acme/x@^1", "limits": hosts }))] });
    let places = [1, 3].map(|at| format!("/steps/0/limits/hosts/{at}"));
    assert_eq!(problems(&plugin), places.map(|place| pair(&place, "EGRESS_RULE_INVALID")));
}

#[test]
fn text_has_lines_and_columns() {
    let text = "{\n  \"name\": \"w\",\n  \"steps\": [\n    {\"id\": \"a\", \"type\": \"log\", \"config\": {\"message\": \"m\"},\n     \"next\": \"gone\"}\n  ]\n}";
    let found = validate_text(text, &Catalog).unwrap_err();
    assert_eq!((found[0].line, found[0].column), (Some(5), Some(6)));
    let broken = validate_text("{\n  \"name\": }", &Catalog).unwrap_err();
    assert_eq!((broken[0].code.as_str(), broken[0].line), ("SYNTAX", Some(2)));
}

#[test]
fn a_definition_is_bounded_in_bytes_and_steps() {
    let text = |bytes: usize| {
        let definition = json!({ "name": "w", "steps": [step("a", &json!({}))] }).to_string();
        format!("{definition}{}", " ".repeat(bytes - definition.len()))
    };
    assert!(validate_text(&text(MAX_DEFINITION_BYTES), &Catalog).is_ok());
    let over = validate_text(&text(MAX_DEFINITION_BYTES + 1), &Catalog).unwrap_err();
    assert_eq!(over[0].code, "DEFINITION_TOO_LARGE");

    let steps = |count: usize| {
        let chain = |at: usize| {
            if at + 1 < count { json!({ "next": format!("s{}", at + 1) }) } else { json!({}) }
        };
        let steps: Vec<_> = (0..count).map(|at| step(&format!("s{at}"), &chain(at))).collect();
        problems(&json!({ "name": "w", "steps": steps }))
    };
    assert_eq!(steps(1_000), []);
    assert_eq!(steps(1_001), [pair("/steps", "SCHEMA")]);
}

#[test]
fn the_input_schema_has_to_be_one() {
    let definition =
        json!({ "name": "w", "inputSchema": { "type": 5 }, "steps": [step("a", &json!({}))] });
    assert_eq!(problems(&definition), [pair("/inputSchema", "INPUT_SCHEMA_INVALID")]);
}

fn control(step_type: &str, config: &Value) -> Value {
    json!({ "name": "w", "steps": [{ "id": "s", "type": step_type, "config": config }] })
}

#[test]
fn control_steps_are_checked_by_the_engine_itself() {
    for (step_type, config, place) in [
        ("switch", json!({}), "/steps/0/config"),
        ("switch", json!({ "cases": [] }), "/steps/0/config/cases"),
        ("transform", json!({ "valeu": 1 }), "/steps/0/config"),
        ("wait", json!({ "durationMs": 1, "until": "x" }), "/steps/0/config"),
        ("wait", json!({}), "/steps/0/config"),
        ("wait", json!({ "durationMs": -1 }), "/steps/0/config/durationMs"),
        ("fail", json!({ "code": "no", "message": "m" }), "/steps/0/config/code"),
    ] {
        let found = problems(&control(step_type, &config));
        assert!(
            found.iter().any(|(at, _)| at.starts_with(place)),
            "{step_type} {config}: {found:?}"
        );
    }
    assert_eq!(problems(&control("wait", &json!({ "durationMs": "${input.ms}" }))), []);
    assert_eq!(problems(&control("succeed", &json!({}))), []);
}

#[test]
fn a_field_without_an_effect_on_a_control_step_is_refused() {
    let fields =
        json!({ "retryPolicy": {}, "timeoutMs": 1, "next": "s", "onError": "s", "output": 1 });
    let refused = |step_type: &str, config: Value| {
        let mut definition = control(step_type, &config);
        definition["steps"][0].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let found = problems(&definition);
        let of_no_use = found.into_iter().filter(|(_, code)| code == "FIELD_WITHOUT_EFFECT");
        of_no_use.map(|(at, _)| at.replace("/steps/0/", "")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(refused("succeed", json!({})), "retryPolicy timeoutMs next onError output");
    assert_eq!(refused("fail", json!({ "message": "m" })), "retryPolicy timeoutMs next output");
    assert_eq!(refused("transform", json!({ "value": 1 })), "retryPolicy timeoutMs");
}

#[test]
fn the_ways_out_of_a_switch_are_ways() {
    let cases = json!({ "cases": [{ "when": "true", "next": "a" }, { "when": "true", "next": "nowhere" }], "default": "b" });
    let definition = json!({ "name": "w", "steps": [
        { "id": "s", "type": "switch", "config": cases },
        step("a", &json!({})),
        step("c", &json!({})),
    ] });
    assert_eq!(
        problems(&definition),
        [
            pair("/steps/0/config/cases/1/next", "DANGLING_NEXT"),
            pair("/steps/0/config/default", "DANGLING_NEXT"),
        ]
    );
}

#[test]
fn a_circle_may_lead_over_a_wait_or_a_switch() {
    let circle = |middle: Value| json!({ "name": "w", "steps": [step("a", &json!({ "next": "m" })), middle] });
    let wait = json!({ "id": "m", "type": "wait", "config": { "durationMs": 1 }, "next": "a" });
    assert_eq!(problems(&circle(wait)), []);
    let config = json!({ "cases": [{ "when": "input.again", "next": "a" }] });
    let switch = json!({ "id": "m", "type": "switch", "config": config });
    assert_eq!(problems(&circle(switch)), []);
}

#[test]
fn expressions_in_control_steps_are_read() {
    let switch = json!({ "cases": [{ "when": "steps.b.output", "next": "s" }] });
    assert_eq!(
        problems(&control("switch", &switch)),
        [pair("/steps/0/config/cases/0/when", "UNKNOWN_STEP")]
    );
    let found = problems(&control("transform", &json!({ "value": ["${input.}"] })));
    assert_eq!(found, [pair("/steps/0/config/value/0", "EXPRESSION_INVALID")]);
}

fn log(id: &str, config: &Value) -> Value {
    json!({ "id": id, "type": "log", "config": config })
}

fn map(id: &str, steps: &Value) -> Value {
    json!({ "id": id, "type": "map", "config": { "items": "${input.items}", "steps": steps } })
}

#[test]
fn blocks_are_checked_like_the_whole() {
    let message = json!({ "message": "${item.n} ${steps.first.output} ${index}" });
    let inner = json!([log("a", &message)]);
    let mut first = log("first", &json!({ "message": "m" }));
    first["next"] = json!("each");
    assert_eq!(problems(&json!({ "name": "w", "steps": [first, map("each", &inner)] })), []);

    let at = |place: &str, code: &str| pair(&format!("/steps/0/config/steps/{place}"), code);
    for (steps, wrong) in [
        (json!([]), vec![pair("/steps/0/config/steps", "CONFIG_INVALID")]),
        (json!([log("each", &json!({ "message": "m" }))]), vec![at("0/id", "DUPLICATE_ID")]),
        (json!([log("a", &json!({}))]), vec![at("0/config", "MISSING_FIELD")]),
        (json!([{ "id": "a", "type": "teleport" }]), vec![at("0/type", "UNKNOWN_STEP_TYPE")]),
        (
            json!([{ "id": "a", "type": "log", "config": { "message": "m" }, "next": "first" }]),
            vec![at("0/next", "DANGLING_NEXT")],
        ),
        (
            json!([log("a", &json!({ "message": "m" })), log("b", &json!({ "message": "m" }))]),
            vec![at("1", "UNREACHABLE_STEP")],
        ),
        (
            json!([log("a", &json!({ "message": "${steps.z.output}" }))]),
            vec![at("0/config/message", "UNKNOWN_STEP")],
        ),
        (
            json!([{ "id": "a", "type": "log", "config": { "message": "m" }, "wrong": 1 }]),
            vec![at("0/wrong", "UNKNOWN_FIELD")],
        ),
    ] {
        assert_eq!(
            problems(&json!({ "name": "w", "steps": [map("each", &steps)] })),
            wrong,
            "{steps}"
        );
    }
}

#[test]
fn what_is_in_a_block_is_out_of_scope_around_it() {
    let inner = json!([log("a", &json!({ "message": "m" }))]);
    let found = problems(
        &json!({ "name": "w", "steps": [map("each", &inner)], "output": "${steps.a.output}" }),
    );
    assert_eq!(found, [pair("/output", "UNKNOWN_STEP")]);
    for root in ["item", "index"] {
        let definition = json!({ "name": "w", "steps": [log("a", &json!({ "message": format!("${{{root}}}") }))] });
        assert_eq!(problems(&definition), [pair("/steps/0/config/message", "EXPRESSION_INVALID")]);
    }
}

#[test]
fn blocks_nest_to_a_stated_depth() {
    let nested = |depth: usize| {
        let mut steps = json!([log("s", &json!({ "message": "m" }))]);
        for at in 0..depth {
            steps = json!([map(&format!("m{at}"), &steps)]);
        }
        problems(&json!({ "name": "w", "steps": steps }))
    };
    assert_eq!(nested(8), []);
    let deep = "/steps/0/config".repeat(9);
    assert_eq!(nested(9), [pair(&deep, "NESTED_TOO_DEEPLY")]);
    assert!(nested(30).iter().any(|(_, code)| code == "NESTED_TOO_DEEPLY"));
}

#[test]
fn the_steps_of_all_blocks_count() {
    let steps = |count: usize| {
        let block = |from: usize, to: usize| -> Vec<_> {
            let step = |at: usize| {
                let mut step = log(&format!("s{at}"), &json!({ "message": "m" }));
                if at + 1 < to {
                    step["next"] = json!(format!("s{}", at + 1));
                }
                step
            };
            (from..to).map(step).collect()
        };
        let branches =
            json!({ "a": { "steps": block(0, 600) }, "b": { "steps": block(600, count) } });
        problems(&control("parallel", &json!({ "branches": branches })))
    };
    assert_eq!(steps(999), []);
    assert_eq!(steps(1_000), [pair("/steps", "TOO_MANY_STEPS")]);
}

#[test]
fn an_expression_may_stand_only_where_one_is_read() {
    let config = json!({ "items": [], "steps": [log("a", &json!({ "message": "m" }))], "maxConcurrency": "${input.n}" });
    assert_eq!(
        problems(&control("map", &config)),
        [pair("/steps/0/config/maxConcurrency", "CONFIG_INVALID")]
    );
    let config = json!({ "workflow": "w", "version": "${input.v}" });
    assert_eq!(
        problems(&control("workflow", &config)),
        [pair("/steps/0/config/version", "CONFIG_INVALID")]
    );
}

#[test]
fn names_and_numbers_of_children_are_checked() {
    let branch = json!({ "steps": [log("a", &json!({ "message": "m" }))] });
    let inner = json!([log("a", &json!({ "message": "m" }))]);
    for (step_type, config) in [
        ("parallel", json!({ "branches": {} })),
        ("parallel", json!({ "branches": { "a b": branch } })),
        ("parallel", json!({ "branches": { "a.b": branch } })),
        ("map", json!({ "steps": inner })),
        ("map", json!({ "items": [], "steps": inner, "maxConcurrency": 0 })),
        ("map", json!({ "items": [], "steps": inner, "tolerateFailures": "101%" })),
        ("map", json!({ "items": [], "steps": inner, "tolerateFailures": -1 })),
        ("map", json!({ "items": [], "steps": inner, "batchSize": 0 })),
        ("workflow", json!({})),
        ("workflow", json!({ "workflow": "No Name" })),
        ("workflow", json!({ "workflow": "w", "version": 0 })),
    ] {
        assert_ne!(problems(&control(step_type, &config)), [], "{step_type} {config}");
    }
}

#[test]
fn waits_for_others_are_checked() {
    for (step_type, config, place) in [
        ("wait", json!({ "event": {} }), "/steps/0/config/event"),
        ("wait", json!({ "event": { "name": "e" }, "token": {} }), "/steps/0/config"),
        ("wait", json!({ "durationMs": 1, "timeoutMs": 1 }), "/steps/0/config"),
        ("wait", json!({ "event": { "name": "e" }, "timeoutMs": 0 }), "/steps/0/config/timeoutMs"),
        (
            "wait",
            json!({ "event": { "name": "e", "lookbackMs": 2_592_000_001_i64 } }),
            "/steps/0/config/event/lookbackMs",
        ),
        (
            "wait",
            json!({ "event": { "name": "e", "match": "event." } }),
            "/steps/0/config/event/match",
        ),
        (
            "wait",
            json!({ "event": { "name": "e" }, "onTimeout": "nowhere" }),
            "/steps/0/config/onTimeout",
        ),
        ("approval", json!({ "count": 0 }), "/steps/0/config/count"),
        ("approval", json!({ "formSchema": { "type": 5 } }), "/steps/0/config/formSchema"),
        ("emit", json!({}), "/steps/0/config"),
        ("emit", json!({ "event": "e", "data": "${event.data}" }), "/steps/0/config/data"),
    ] {
        let found = problems(&control(step_type, &config));
        assert!(found.iter().any(|(at, _)| at == place), "{step_type} {config}: {found:?}");
    }
    let matching = "event.data.a == input.a && event.name == 'e'";
    let good = json!({ "event": { "name": "e", "match": matching, "lookbackMs": 2_592_000_000_i64 }, "timeoutMs": 1 });
    assert_eq!(problems(&control("wait", &good)), []);
    assert_eq!(problems(&control("wait", &json!({ "token": {} }))), []);
    assert_eq!(problems(&control("approval", &json!({}))), []);
}

#[test]
fn triggers_are_checked() {
    let with = |trigger: Value| {
        problems(&json!({ "name": "w", "steps": [step("a", &json!({}))], "triggers": [trigger] }))
    };
    assert_eq!(
        with(
            json!({ "type": "event", "event": "e", "match": "event.data.a > 1", "input": "${event.data}" })
        ),
        []
    );
    assert_eq!(
        with(json!({ "type": "event", "event": "e", "match": "input.a" })),
        [pair("/triggers/0/match", "EXPRESSION_INVALID")]
    );
    assert_eq!(
        with(json!({ "type": "event", "event": "e", "input": { "a": "${event." } })),
        [pair("/triggers/0/input", "EXPRESSION_INVALID")]
    );
    assert_ne!(with(json!({ "type": "event", "event": "a:b" })), []);
    assert_ne!(with(json!({ "type": "event" })), []);
    let manual = json!({ "type": "manual" });
    let both = json!({ "name": "w", "steps": [step("a", &json!({}))], "trigger": manual,
        "triggers": vec![json!({ "type": "event", "event": "e" }); 20] });
    assert_eq!(problems(&both), []);
}

#[test]
fn constants_are_named_and_constant() {
    let vars = json!({ "limit": 10, "a/b": { "list": [1, "x"] } });
    let with = |vars: &Value, value: &str| {
        let inner = json!([log("a", &json!({ "message": value }))]);
        problems(&json!({ "name": "w", "vars": vars, "steps": [map("each", &inner)] }))
    };
    for read in ["${vars.limit}", "${vars['a/b'].list[0]}", "${vars[input.name]}", "${size(vars)}"]
    {
        assert_eq!(with(&vars, read), [], "{read}");
    }
    let at = "/steps/0/config/steps/0/config/message";
    for read in ["${vars.limits}", "${vars['limits']}", "${has(vars.limits)}", "${vars.?limits}"] {
        assert_eq!(with(&vars, read), [pair(at, "UNKNOWN_VAR")], "{read}");
    }
    assert_eq!(with(&json!({}), "${vars.limit}"), [pair(at, "UNKNOWN_VAR")]);
    // A loop may give the name another meaning.
    assert_eq!(with(&vars, "${input.list.map(vars, vars.x)}"), []);

    let misspelt = json!({ "name": "w", "vars": vars, "steps": [step("a", &json!({}))], "output": "${vars.limt}" });
    let found = validate_value(&misspelt, &Catalog).unwrap_err();
    assert_eq!(found[0].help.as_deref(), Some("did you mean `limit`?"));

    let computed =
        json!({ "a/b": { "list": [1, "${input.x}"] }, "plain": "$5 {x}", "escaped": "$${x}" });
    assert_eq!(
        with(&computed, "m"),
        [pair("/vars/a~1b/list/1", "VAR_NOT_CONSTANT"), pair("/vars/escaped", "VAR_NOT_CONSTANT")]
    );
    assert_eq!(with(&json!([1]), "m"), [pair("/vars", "WRONG_TYPE")]);
}

#[test]
fn triggers_read_constants() {
    let with = |matching: &str| {
        let trigger = json!({ "type": "event", "event": "e", "match": matching });
        problems(
            &json!({ "name": "w", "vars": { "least": 5 }, "trigger": trigger, "steps": [step("a", &json!({}))] }),
        )
    };
    assert_eq!(with("event.data.sum > vars.least"), []);
    assert_eq!(with("event.data.sum > vars.last"), [pair("/trigger/match", "UNKNOWN_VAR")]);
}

#[test]
fn a_secret_stands_only_in_the_config_of_a_step_that_sends_it() {
    struct Open;
    impl StepCatalog for Open {
        fn native(&self, _: &str) -> CatalogEntry {
            CatalogEntry::Unchecked
        }
        fn plugin(&self, _: &PluginReference) -> CatalogEntry {
            CatalogEntry::Unchecked
        }
    }
    let found = |definition: &Value| {
        let problems = validate_value(definition, &Open).err().unwrap_or_default();
        problems.into_iter().map(|it| (it.pointer, it.code)).collect::<Vec<_>>()
    };
    let (text, bare) = ("Bearer ${secret('key')}", "secret('key') == ''");
    let one = |step: Value| found(&json!({ "name": "w", "steps": [step] }));
    let with = |kind: &str, rest: Value| {
        let mut step = json!({ "id": "a", "type": kind, "config": {} });
        step.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        one(step)
    };
    let config = json!({ "config": { "headers": { "authorization": text } } });
    assert_eq!(with("http", config.clone()), []);
    assert_eq!(with("acme/pay", config), []);
    let not_allowed = |at: &str| [pair(&format!("/steps/0{at}"), "SECRET_NOT_ALLOWED")];
    for kind in ["http", "acme/pay"] {
        assert_eq!(with(kind, json!({ "output": { "x": text } })), not_allowed("/output/x"));
        assert_eq!(with(kind, json!({ "when": bare })), not_allowed("/when"));
        let retry = json!({ "retryPolicy": { "maxAttempts": 2, "when": bare } });
        assert_eq!(with(kind, retry), not_allowed("/retryPolicy/when"));
    }
    let message = json!({ "config": { "message": text } });
    assert_eq!(with("log", message.clone()), not_allowed("/config/message"));
    assert_eq!(with("fail", message), not_allowed("/config/message"));
    let value = json!({ "config": { "value": { "x": text } } });
    assert_eq!(with("transform", value), not_allowed("/config/value/x"));
    let steps = json!([step("a", &json!({}))]);
    let output = json!({ "name": "w", "steps": steps, "output": text });
    assert_eq!(found(&output), [pair("/output", "SECRET_NOT_ALLOWED")]);
    let trigger = json!({ "type": "event", "event": "e", "match": bare });
    let triggered = json!({ "name": "w", "steps": steps, "trigger": trigger });
    assert_eq!(found(&triggered), [pair("/trigger/match", "SECRET_NOT_ALLOWED")]);
}

#[test]
fn a_secret_s_name_is_written_out() {
    for bad in
        ["secret(input.name)", "secret()", "'key'.secret()", "secret('1')", "secret('a', 'b')"]
    {
        let step =
            json!({ "id": "a", "type": "log", "config": { "message": format!("${{{bad}}}") } });
        let found = problems(&json!({ "name": "w", "steps": [step] }));
        assert_eq!(found, [pair("/steps/0/config/message", "EXPRESSION_INVALID")], "{bad}");
    }
}

#[test]
fn a_retention_says_how_many_days_and_says_something() {
    let with = |retention: Value| {
        problems(&json!({ "name": "w", "steps": [step("a", &json!({}))], "retention": retention }))
    };
    assert_eq!(with(json!({ "succeededDays": 1, "failedDays": 36_500, "cancelledDays": 7 })), []);
    assert_eq!(
        with(json!({ "succeededDays": 0, "failedDays": 36_501 })),
        [pair("/retention/succeededDays", "SCHEMA"), pair("/retention/failedDays", "SCHEMA")],
    );
    assert_eq!(with(json!({})), [pair("/retention", "SCHEMA")]);
    assert_eq!(with(json!({ "pausedDays": 1 })), [pair("/retention/pausedDays", "UNKNOWN_FIELD")]);
    assert_eq!(with(json!({ "failedDays": "7d" })), [pair("/retention/failedDays", "WRONG_TYPE")]);
}

#[test]
fn searchable_places_are_few_distinct_json_pointers() {
    let with = |searchable: Value| {
        problems(
            &json!({ "name": "w", "steps": [step("a", &json!({}))], "searchable": searchable }),
        )
    };
    let places = |count: usize| json!((0..count).map(|at| format!("/{at}")).collect::<Vec<_>>());
    for fine in [places(0), places(7), places(8), json!(["", "/order/id", "/a~1b/~0/0", "/"])] {
        assert_eq!(with(fine.clone()), [], "{fine}");
    }
    assert_eq!(with(places(9)), [pair("/searchable", "SCHEMA")]);
    assert_eq!(with(json!(["/a", "/b", "/a"])), [pair("/searchable", "SCHEMA")], "once is enough");
    let long = |chars: usize| json!(["/a", format!("/{}", "x".repeat(chars - 1))]);
    assert_eq!(with(long(199)), []);
    assert_eq!(with(long(200)), []);
    assert_eq!(with(long(201)), [pair("/searchable/1", "SCHEMA")]);
    for bad in ["order", "order/id", "$.order", "/a~", "/a~2b", "#/order"] {
        assert_eq!(with(json!([bad])), [pair("/searchable/0", "SCHEMA")], "{bad}");
    }
    assert_eq!(with(json!([7])), [pair("/searchable/0", "WRONG_TYPE")]);
    assert_eq!(with(json!("/order/id")), [pair("/searchable", "WRONG_TYPE")]);
}
