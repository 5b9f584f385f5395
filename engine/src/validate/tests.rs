//! What authors get wrong, and what they are told.

use serde_json::{Value, json};

use super::*;

struct Catalog;

impl StepCatalog for Catalog {
    fn find(&self, step_type: &StepType) -> CatalogEntry {
        match step_type {
            StepType::Native(name) if name == "log" => CatalogEntry::Known {
                config_schema: Some(json!({
                    "type": "object",
                    "properties": { "message": { "type": "string" }, "count": { "type": "integer" } },
                    "required": ["message"],
                    "additionalProperties": false,
                })),
            },
            StepType::Native(_) => CatalogEntry::Unknown { help: Some("there are `log`".into()) },
            StepType::Plugin(_) => CatalogEntry::Unchecked,
        }
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
        ("triggers", json!([])),
        ("concurrency", json!([])),
        ("onFailure", json!([])),
    ] {
        let mut definition = base.clone();
        definition[field] = value;
        assert_ne!(problems(&definition), [], "{field}");
    }
    assert_eq!(
        problems(&json!({ "name": "w", "steps": [step("a", &json!({ "type": "switch" }))] })),
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
