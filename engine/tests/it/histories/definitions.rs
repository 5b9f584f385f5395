//! Definitions that use every step type, in any combination that is valid.

use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

/// Blocks nest this deep.
const DEPTH: usize = 2;

pub(super) fn definition(random: &mut SmallRng) -> Value {
    let mut ids = 0;
    let mut definition = json!({ "name": "w", "steps": steps(random, &mut ids, 0) });
    if random.random_bool(0.2) {
        definition["deadlineMs"] = json!(random.random_range(1..100_000));
    }
    if random.random_bool(0.2) {
        definition["onFailure"] = json!({ "steps": steps(random, &mut ids, DEPTH) });
    }
    if random.random_bool(0.2) {
        definition["output"] = json!("${size(steps)}");
    }
    definition
}

/// Steps that lead from each to the next, sometimes further or back.
fn steps(random: &mut SmallRng, ids: &mut usize, depth: usize) -> Vec<Value> {
    let count = random.random_range(1..=4);
    let names: Vec<_> = (0..count).map(|at| format!("s{}", *ids + at)).collect();
    *ids += count;
    (0..count)
        .map(|at| {
            let next = names.get(at + 1).map(String::as_str);
            let any = &names[random.random_range(0..count)];
            let mut step = step(random, ids, depth, next, any);
            step["id"] = json!(names[at]);
            step
        })
        .collect()
}

/// A step that leads on to `next`, if there is one; `any` is a step of the same block.
fn step(
    random: &mut SmallRng,
    ids: &mut usize,
    depth: usize,
    next: Option<&str>,
    any: &str,
) -> Value {
    let kinds = if depth < DEPTH { 13 } else { 10 };
    let mut step = match (random.random_range(0..kinds), next) {
        (0, Some(next)) => return switch(random, next, any),
        (1, None) => return json!({ "type": "succeed", "config": { "output": 1 } }),
        (2, None) => {
            return with_on_error(
                random,
                json!({ "type": "fail", "config": { "message": "no" } }),
                any,
            );
        }
        (3, _) => json!({ "type": "transform", "config": { "value": transform_value(random) } }),
        (4, _) => {
            json!({ "type": "wait", "config": { "durationMs": random.random_range(0..5_000) } })
        }
        (5, _) => message_wait(random, any),
        (6, _) => json!({ "type": "emit", "config": { "event": "e", "data": "${input}" } }),
        (7, _) => {
            json!({ "type": "approval", "config": { "count": random.random_range(1..3), "timeoutMs": 50 } })
        }
        (10, _) => {
            let branches: serde_json::Map<_, _> = (0..random.random_range(1..3))
                .map(|at| (format!("b{at}"), json!({ "steps": steps(random, ids, depth + 1) })))
                .collect();
            let config = json!({ "branches": branches, "failFast": random.random_bool(0.5) });
            children(random, "parallel", &config)
        }
        (11, _) => {
            let items =
                if random.random_bool(0.9) { json!([1, 2, 3]) } else { json!("${input.none}") };
            let config = json!({ "items": items, "steps": steps(random, ids, depth + 1), "tolerateFailures": random.random_range(0..2) });
            children(random, "map", &config)
        }
        (12, _) => {
            let config = json!({ "workflow": "other", "wait": random.random_bool(0.8) });
            children(random, "workflow", &config)
        }
        _ => log(random),
    };
    if let Some(next) = next {
        step["next"] = json!(next);
    }
    if random.random_bool(0.1) {
        step["when"] = json!(["true", "false", "input.none"][random.random_range(0..3)]);
    }
    if depth < DEPTH && random.random_bool(0.2) {
        step["compensate"] = json!({ "steps": steps(random, ids, DEPTH) });
    }
    with_on_error(random, step, any)
}

fn with_on_error(random: &mut SmallRng, mut step: Value, any: &str) -> Value {
    if random.random_bool(0.15) {
        step["onError"] = json!(any);
    }
    step
}

fn transform_value(random: &mut SmallRng) -> Value {
    if random.random_bool(0.9) { json!({ "n": "${1 + 1}" }) } else { json!("${input.none}") }
}

fn switch(random: &mut SmallRng, next: &str, any: &str) -> Value {
    let when = ["true", "false", "input.none", "size(steps) > 2"][random.random_range(0..4)];
    json!({ "type": "switch", "config": { "cases": [{ "when": when, "next": any }], "default": next } })
}

fn message_wait(random: &mut SmallRng, any: &str) -> Value {
    let mut config = if random.random_bool(0.7) {
        json!({ "event": { "name": "e", "match": "event.data.n == 1 || event.data.n == 2" } })
    } else {
        json!({ "token": {} })
    };
    config["timeoutMs"] = json!(random.random_range(1..5_000));
    if random.random_bool(0.3) {
        config["onTimeout"] = json!(any);
    }
    json!({ "type": "wait", "config": config })
}

fn retry_policy(random: &mut SmallRng) -> Value {
    let exhausted = ["deadLetter", "fail", "pause"][random.random_range(0..3)];
    json!({ "maxAttempts": random.random_range(1..4), "delayMs": random.random_range(0..3), "onExhausted": exhausted,
            "retryOn": ["TIMEOUT", "CHILD_FAILED", "WORKER_LOST"] })
}

fn log(random: &mut SmallRng) -> Value {
    let mut step = json!({ "type": "log", "config": { "message": "m" } });
    if random.random_bool(0.5) {
        step["retryPolicy"] = retry_policy(random);
    }
    step
}

fn children(random: &mut SmallRng, kind: &str, config: &Value) -> Value {
    let mut step = json!({ "type": kind, "config": config });
    if random.random_bool(0.3) {
        step["retryPolicy"] = retry_policy(random);
    }
    if random.random_bool(0.3) {
        step["timeoutMs"] = json!(random.random_range(1..1_000));
    }
    step
}
