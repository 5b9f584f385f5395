//! Generated definitions, each with one thing wrong: that one is reported, and nothing that only follows from it.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use stateflow_engine::plan::{Plan, PluginLock};
use stateflow_engine::validate::validate_value;

use super::AnyStep;
use super::definitions::definition;

const DEFINITIONS: u64 = 500;

/// The pointers of everything in a document that `wanted` likes.
fn places(value: &Value, wanted: &dyn Fn(&Value) -> bool) -> Vec<String> {
    fn visit(at: &str, value: &Value, wanted: &dyn Fn(&Value) -> bool, found: &mut Vec<String>) {
        if wanted(value) {
            found.push(at.to_owned());
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    visit(&format!("{at}/{index}"), item, wanted, found);
                }
            }
            Value::Object(fields) => {
                fields
                    .iter()
                    .for_each(|(name, it)| visit(&format!("{at}/{name}"), it, wanted, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit("", value, wanted, &mut found);
    found
}

fn is_step(value: &Value) -> bool {
    value.get("id").is_some() && value.get("type").is_some()
}

fn one_of<'a>(random: &mut SmallRng, places: &'a [String]) -> &'a str {
    &places[random.random_range(0..places.len())]
}

/// A valid definition, and the place of one of its steps.
fn with_step(seed: u64) -> (SmallRng, Value, String) {
    let mut random = SmallRng::seed_from_u64(seed);
    let document = definition(&mut random);
    let steps = places(&document, &is_step);
    let place = one_of(&mut random, &steps).to_owned();
    (random, document, place)
}

#[test]
fn an_unknown_field_anywhere_is_the_only_problem() {
    for seed in 0..DEFINITIONS {
        let (_, mut document, place) = with_step(seed);
        document.pointer_mut(&place).unwrap()["zzz"] = json!({ "x": ["y", 1] });
        let problems = validate_value(&document, &AnyStep).unwrap_err();
        let found: Vec<_> = problems.iter().map(|it| (&*it.pointer, &*it.code)).collect();
        assert_eq!(
            found,
            [(&*format!("{place}/zzz"), "UNKNOWN_FIELD")],
            "seed {seed}: {document:#}"
        );
    }
}

#[test]
fn a_step_that_lost_its_id_or_its_type_is_the_only_problem() {
    for seed in 0..DEFINITIONS {
        let (mut random, mut document, place) = with_step(seed);
        let step = document.pointer_mut(&place).unwrap().as_object_mut().unwrap();
        // An id that nobody names any more: others lead to it, or not.
        let lost = if random.random_bool(0.5) { "type" } else { "id" };
        let id = step["id"].clone();
        step.remove(lost);
        let problems = validate_value(&document, &AnyStep).unwrap_err();
        for problem in &problems {
            let is_lost = problem.pointer == place && problem.code == "MISSING_FIELD";
            let leads_to_it = problem.code.starts_with("DANGLING")
                && problem.message.contains(&format!("`{}`", id.as_str().unwrap()));
            assert!(is_lost || (lost == "id" && leads_to_it), "seed {seed}: {problem:?}");
        }
    }
}

#[test]
fn whatever_stands_anywhere_is_judged() {
    let junk = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("${"),
        json!("?1"),
        json!([]),
        json!({}),
        json!([[{}]]),
        json!({ "steps": [{ "id": "s0" }] }),
        json!(true),
    ];
    for seed in 0..4 * DEFINITIONS {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut document = definition(&mut random);
        for _ in 0..random.random_range(1..4) {
            let all = places(&document, &|_| true);
            let place = one_of(&mut random, &all);
            *document.pointer_mut(place).unwrap() =
                junk[random.random_range(0..junk.len())].clone();
        }
        match validate_value(&document, &AnyStep) {
            Ok(valid) => {
                let plan = Plan::compile(&valid, 1, &PluginLock::new());
                assert!(plan.is_ok(), "seed {seed}: {plan:?}");
            }
            Err(problems) => assert!((1..=100).contains(&problems.len()), "seed {seed}"),
        }
    }
}
