//! Expressions from the author's side: what they give, and what they are refused.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::callback::CallbackKey;
use crate::machine::{StepState, StepStatus, Steps};

fn with_scope<T>(input: &Value, check: impl FnOnce(&Scope<'_>) -> T) -> T {
    let steps = Steps::from([(
        "first-step".to_owned(),
        StepState {
            status: StepStatus::Succeeded,
            attempts: 2,
            error: None,
            output: Some(Arc::new(json!({ "n": 3 }))),
        },
    )]);
    let vars = json!({ "limit": 10, "tax-rate": 0.5, "of": { "x": [1] } });
    check(&Scope {
        input,
        steps: &steps,
        outer: None,
        item: None,
        execution_id: Uuid::from_u128(1),
        root_id: Uuid::from_u128(1),
        workflow: "w",
        version: 4,
        vars: vars.as_object().unwrap(),
        error: None,
        result: None,
        event: None,
        trigger: &Value::Null,
        callbacks: CallbackKey::default(),
        now: DateTime::<Utc>::UNIX_EPOCH,
        place: "here",
    })
}

fn evaluate(source: &str, input: &Value) -> Result<Value, ExpressionError> {
    let expression = Expression::parse(source)?;
    with_scope(input, |scope| expression.evaluate(scope))
}

fn fill(template: &Value, input: &Value) -> Value {
    let template = Template::parse(template).expect("the template parses");
    with_scope(input, |scope| template.evaluate(scope)).expect("the template evaluates")
}

#[test]
fn a_whole_string_keeps_its_type_and_an_embedded_one_is_text() {
    let input = json!({ "n": 2, "list": [1, 2], "name": "Ada" });
    assert_eq!(fill(&json!("${input.n + 1}"), &input), json!(3));
    assert_eq!(fill(&json!("${input.list}"), &input), json!([1, 2]));
    assert_eq!(fill(&json!("Hello ${input.name}, ${input.n}!"), &input), json!("Hello Ada, 2!"));
    assert_eq!(
        fill(&json!({ "a": ["${input.n}", 5], "b": null }), &input),
        json!({ "a": [2, 5], "b": null })
    );
}

#[test]
fn a_doubled_dollar_escapes() {
    assert_eq!(fill(&json!("costs $${input.n}"), &json!({})), json!("costs ${input.n}"));
    assert_eq!(fill(&json!(["$${x}"]), &json!({})), json!(["${x}"]));
    assert_eq!(fill(&json!("$5 and 5$"), &json!({})), json!("$5 and 5$"));
}

#[test]
fn braces_and_quotes_inside_an_expression_do_not_end_it() {
    assert_eq!(fill(&json!("${ {'a}': 1}['a}'] }"), &json!({})), json!(1));
    assert_eq!(fill(&json!("${'}' + \"}\"}"), &json!({})), json!("}}"));
    assert!(Template::parse(&json!("${input.n")).is_err());
}

#[test]
fn steps_execution_and_workflow_are_in_scope() {
    let input = json!({});
    assert_eq!(evaluate("steps['first-step'].output.n", &input), Ok(json!(3)));
    assert_eq!(evaluate("steps['first-step'].status", &input), Ok(json!("succeeded")));
    assert_eq!(evaluate("steps['first-step'].attempts", &input), Ok(json!(2)));
    assert_eq!(evaluate("execution.id", &input), Ok(json!(Uuid::from_u128(1))));
    assert_eq!(evaluate("workflow.name + string(workflow.version)", &input), Ok(json!("w4")));
    assert_eq!(evaluate("steps.map(id, id)", &input), Ok(json!(["first-step"])));
}

#[test]
fn constants_are_in_scope() {
    let input = json!({ "name": "limit" });
    assert_eq!(evaluate("vars.limit + 1", &input), Ok(json!(11)));
    assert_eq!(evaluate("vars['tax-rate']", &input), Ok(json!(0.5)));
    assert_eq!(evaluate("vars[input.name]", &input), Ok(json!(10)));
    assert_eq!(evaluate("vars.of.x[0]", &input), Ok(json!(1)));
    assert_eq!(evaluate("size(vars)", &input), Ok(json!(3)));
    assert_eq!(evaluate("[{'x': 7}].map(vars, vars.x)", &input), Ok(json!([7])));
    assert_eq!(evaluate("[{'x': 7}].map(steps, steps.x)", &input), Ok(json!([7])));
    // Only what is read is looked at, however long the others are.
    let read = Expression::parse("vars.limit + vars['tax-rate']").unwrap();
    assert_eq!(read.vars_read().iter().collect::<Vec<_>>(), ["limit", "tax-rate"]);
}

#[test]
fn the_functions_that_people_expect_exist() {
    let input = json!({ "s": " a b ", "o": { "k": [1] }, "csv": "x,y" });
    let cases = [
        ("input.s.trim()", json!("a b")),
        ("input.csv.split(',')", json!(["x", "y"])),
        ("input.csv.split(',').join('-')", json!("x-y")),
        ("input.csv.replace(',', ';')", json!("x;y")),
        ("json(input.o)", json!("{\"k\":[1]}")),
        ("parseJson('[1,2]')[1]", json!(2)),
        ("base64('hi')", json!("aGk=")),
        ("base64Decode('aGk=')", json!("hi")),
        ("urlEncode('a b/ü')", json!("a%20b%2F%C3%BC")),
        ("sha256('')", json!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")),
        ("now() + duration('60s')", json!("1970-01-01T00:01:00+00:00")),
        ("default(input.missing, 7)", json!(7)),
        ("default(input.o.k[0], 7)", json!(1)),
        ("default(input.o.x.y, 'z')", json!("z")),
        ("has(input.missing) ? 1 : 2", json!(2)),
    ];
    for (source, expected) in cases {
        assert_eq!(evaluate(source, &input), Ok(expected), "{source}");
    }
}

#[test]
fn a_uuid_is_the_same_for_every_attempt_and_differs_within_one() {
    let (first, again) = (evaluate("uuid()", &json!({})), evaluate("uuid()", &json!({})));
    assert_eq!(first, again);
    assert_eq!(evaluate("uuid() == uuid()", &json!({})), Ok(json!(false)));
}

#[test]
fn unknown_names_are_found_without_values() {
    for source in ["inputs.x", "nosuch(1)", "input.list.map(x, y)"] {
        let error = Expression::parse(source).unwrap_err();
        assert!(matches!(error, ExpressionError::UnknownName(_)), "{source}: {error}");
    }
    assert!(matches!(Expression::parse("1 +"), Err(ExpressionError::Syntax(_))));
}

#[test]
fn what_is_missing_at_run_time_is_named() {
    let error = evaluate("input.nosuch", &json!({})).unwrap_err();
    assert!(error.to_string().contains("nosuch"), "{error}");
}

#[test]
fn the_source_is_bounded() {
    let source = |bytes: usize| format!("'{}'", "x".repeat(bytes - 2));
    assert!(Expression::parse(&source(MAX_SOURCE_BYTES)).is_ok());
    assert_eq!(
        Expression::parse(&source(MAX_SOURCE_BYTES + 1)).unwrap_err(),
        ExpressionError::TooLong(MAX_SOURCE_BYTES + 1)
    );
}

#[test]
fn loops_are_bounded_in_depth_and_in_work() {
    assert!(Expression::parse("[1].map(a, [1].map(b, a + b))").is_ok());
    assert!(matches!(
        Expression::parse("[1].map(a, [1].map(b, [1].map(c, c)))"),
        Err(ExpressionError::TooDeep(3))
    ));
    let squares = |n: usize| evaluate("input.all(a, input.all(b, true))", &json!(vec![0; n]));
    assert_eq!(squares(100), Ok(json!(true)));
    assert_eq!(squares(1_415), Err(ExpressionError::TooMuchWork));
    let split = "input.s.split('').map(x, input.s.split('').map(y, 1))";
    assert!(evaluate(split, &json!({ "s": "x".repeat(100) })).is_ok());
    let long = evaluate(split, &json!({ "s": "x".repeat(1 << 20) }));
    assert_eq!(long, Err(ExpressionError::TooMuchWork));
}

#[test]
fn a_result_is_bounded() {
    let input = |bytes: usize| json!("x".repeat(bytes));
    assert!(evaluate("input", &input(MAX_RESULT_BYTES - 2)).is_ok());
    assert_eq!(evaluate("input", &input(MAX_RESULT_BYTES - 1)), Err(ExpressionError::TooLarge));
    let growing = evaluate(
        "input.list.map(x, input.s + input.s)",
        &json!({
            "list": vec![0; 4_000], "s": "x".repeat(1 << 20),
        }),
    );
    assert_eq!(growing, Err(ExpressionError::TooMuchWork));
}

/// A call of each of CEL's functions that publishing lets through.
const CALLS: &[(&str, &str)] = &[
    ("size", "size('ab') == 2"),
    ("contains", "'abc'.contains('b')"),
    ("startsWith", "'abc'.startsWith('a')"),
    ("endsWith", "'abc'.endsWith('c')"),
    ("matches", "'abc'.matches('^a')"),
    ("string", "string(1) == '1'"),
    ("int", "int('1') == 1"),
    ("uint", "uint(1) == 1u"),
    ("double", "double(1) == 1.0"),
    ("bool", "bool('true')"),
    ("bytes", "bytes('a') == b'a'"),
    ("type", "type(1) == int"),
    ("dyn", "dyn(1) == 1"),
    ("duration", "duration('1s') == duration('1000ms')"),
    ("timestamp", "timestamp('1960-01-02T03:04:05Z') < now()"),
    ("getFullYear", "timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026"),
    ("getMonth", "timestamp('2026-01-02T03:04:05Z').getMonth() == 0"),
    ("getDate", "timestamp('2026-01-02T03:04:05Z').getDate() == 2"),
    ("getDayOfMonth", "timestamp('2026-01-02T03:04:05Z').getDayOfMonth() == 1"),
    ("getDayOfWeek", "timestamp('2026-01-02T03:04:05Z').getDayOfWeek() == 5"),
    ("getDayOfYear", "timestamp('2026-01-02T03:04:05Z').getDayOfYear() == 1"),
    ("getHours", "timestamp('2026-01-02T03:04:05Z').getHours() == 3"),
    ("getMinutes", "timestamp('2026-01-02T03:04:05Z').getMinutes() == 4"),
    ("getSeconds", "timestamp('2026-01-02T03:04:05Z').getSeconds() == 5"),
    ("getMilliseconds", "timestamp('2026-01-02T03:04:05.006Z').getMilliseconds() == 6"),
    ("charAt", "'abc'.charAt(1) == 'b'"),
    ("indexOf", "'abcb'.indexOf('b') == 1"),
    ("lastIndexOf", "'abcb'.lastIndexOf('b') == 3"),
    ("join", "['a', 'b'].join('-') == 'a-b'"),
    ("lowerAscii", "'AB'.lowerAscii() == 'ab'"),
    ("upperAscii", "'ab'.upperAscii() == 'AB'"),
    ("trim", "' a '.trim() == 'a'"),
    ("replace", "'aba'.replace('a', 'c') == 'cbc'"),
    ("split", "'a,b'.split(',') == ['a', 'b']"),
    ("substring", "'abc'.substring(1) == 'bc'"),
    ("format", "'%s'.format(['a']) == 'a'"),
    ("reverse", "'ab'.reverse() == 'ba'"),
    ("map", "[1].map(x, x + 1) == [2]"),
    ("filter", "[1, 2].filter(x, x > 1) == [2]"),
    ("all", "[1].all(x, x == 1)"),
    ("exists", "[1].exists(x, x == 1)"),
    ("hasValue", "{'a': 1}.?a.hasValue()"),
    ("value", "{'a': 1}.?a.value() == 1"),
    ("or", "{'a': 1}.?b.or({'a': 1}.?a).value() == 1"),
    ("orValue", "{'a': 1}.?b.orValue(2) == 2"),
];

#[test]
fn every_function_that_publishing_knows_can_be_called() {
    let failing: Vec<_> = CALLS
        .iter()
        .filter(|(_, call)| evaluate(call, &Value::Null) != Ok(Value::Bool(true)))
        .map(|(_, call)| format!("{call}: {:?}", evaluate(call, &Value::Null)))
        .collect();
    assert!(failing.is_empty(), "{failing:#?}");
    let called: BTreeSet<_> = CALLS.iter().map(|(name, _)| *name).collect();
    assert_eq!(called, BTreeSet::from(functions::STANDARD));
}

#[test]
fn a_secret_evaluates_to_its_placeholder() {
    use crate::placeholder::Placeholders;
    let placeholder = Placeholders::of(CallbackKey::default(), Uuid::from_u128(1)).make("pay-key");
    assert_eq!(evaluate("secret('pay-key')", &json!({})), Ok(json!(placeholder)));
    assert_eq!(
        fill(&json!({ "k": "Bearer ${secret('pay-key')}" }), &json!({})),
        json!({ "k": format!("Bearer {placeholder}") })
    );
}
