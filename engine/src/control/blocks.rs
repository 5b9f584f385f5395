//! Steps within a step: the types whose config holds blocks, or calls another workflow.
//!
//! A block runs as a child execution of its own, on whichever worker is free. Step ids are unique over the whole
//! definition, so a block is named after its step: `each` for a `map`, `fan.left` for a branch of a `parallel`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Control, ControlType};
use crate::definition::{Definition, Step};

/// The most items of one `map`.
pub const MAX_ITEMS: usize = 10_000;
/// The most branches of one `parallel`.
pub const MAX_BRANCHES: usize = 100;
/// How deeply blocks may nest.
pub const MAX_DEPTH: usize = 8;
/// How many children of a `map` are under way at once, when it does not say.
pub const DEFAULT_CONCURRENCY: u32 = 100;

/// Some steps, and what they give.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// The steps. The block starts at the first; `next` leads on within the block.
    #[schemars(length(min = 1, max = 1000))]
    pub steps: Vec<Step>,
    /// The block's output; without it, that of its last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// `parallel`: runs its branches at the same time; gives an object of their outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parallel {
    /// The branches by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    pub branches: BTreeMap<String, Block>,
    /// Whether the first failure stops the other branches. Yes, unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_fast: Option<bool>,
}

/// `map`: runs its steps once for each item of a list; gives the list of their outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Map {
    /// The list, or an expression that gives one: at most 10,000 items.
    pub items: Value,
    /// The steps, with `item` and `index` in scope.
    #[schemars(length(min = 1, max = 1000))]
    pub steps: Vec<Step>,
    /// What one item gives; without it, the output of its last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// How many items are under way at once; 100 unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrency: Option<u32>,
    /// How many items may fail, such as `3` or `"10%"`, before the step does. None, unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerate_failures: Option<Tolerance>,
    /// Hands so many items at a time to the steps: `item` is then a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: Option<u32>,
    /// Whether the outputs are collected. If not, the step gives only the numbers `total`, `succeeded` and `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collect: Option<bool>,
}

/// How many children may fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Tolerance {
    /// So many.
    Count(u32),
    /// Such a part of them: `"10%"`.
    Percent(#[schemars(regex(pattern = r"^(100|[0-9]{1,2})%$"))] String),
}

impl Tolerance {
    /// How many of `total` may fail.
    pub fn of(&self, total: u32) -> u32 {
        match self {
            Self::Count(count) => *count,
            Self::Percent(text) => {
                let percent: u64 = text.trim_end_matches('%').parse().unwrap_or(0);
                u32::try_from(u64::from(total) * percent / 100).unwrap_or(u32::MAX)
            }
        }
    }
}

/// `workflow`: runs another workflow; gives its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Call {
    /// The other workflow's name.
    #[schemars(regex(pattern = r"^[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?$"))]
    pub workflow: String,
    /// Its version; without it, the newest at the time of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub version: Option<i32>,
    /// Its input; without it, `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// Its labels; values may hold expressions. Without them, it has the labels of the execution that calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether to wait for its end. If not, the step gives the `executionId`, and goes on. Yes, unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<bool>,
}

/// The blocks of a step's config: where each stands within the step, its name within the step, and the block.
pub(super) fn blocks(control: Control) -> Vec<(String, Option<String>, Block)> {
    match control {
        Control::Parallel(parallel) => {
            let branches = parallel.branches.into_iter();
            branches
                .map(|(name, block)| (format!("/config/branches/{name}"), Some(name), block))
                .collect()
        }
        Control::Map(map) => {
            vec![("/config".to_owned(), None, Block { steps: map.steps, output: map.output })]
        }
        _ => Vec::new(),
    }
}

/// What is wrong with a config that its schema cannot say.
pub(super) fn fault(control: &Control) -> Option<&'static str> {
    let Control::Parallel(parallel) = control else { return None };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let named = |name: &String| (1..=64).contains(&name.len()) && name.chars().all(plain);
    (!parallel.branches.keys().all(named))
        .then_some("a branch's name has 1 to 64 letters, digits, dashes and underscores")
}

/// A part of a definition whose steps follow each other: all of it, or a block.
#[derive(Clone, Debug)]
pub struct Region {
    /// Where it stands: a JSON pointer, empty for the whole definition.
    pub pointer: String,
    /// The block's name; `None` for the whole definition.
    pub name: Option<String>,
    /// The step that the block belongs to.
    pub owner: String,
    /// The region around it, by its place in the list.
    pub around: Option<usize>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Its output.
    pub output: Option<Value>,
    /// Whether `item` and `index` are in scope.
    pub has_item: bool,
    /// What it is for.
    pub role: Role,
    /// How many blocks it is in, itself included.
    pub depth: usize,
}

/// A definition's regions, each after the one around it; not those beyond [`MAX_DEPTH`] and one.
pub fn regions(definition: &Definition) -> Vec<Region> {
    let whole = Region {
        pointer: String::new(),
        name: None,
        owner: String::new(),
        around: None,
        steps: definition.steps.clone(),
        output: definition.output.clone(),
        has_item: false,
        role: Role::Body,
        depth: 0,
    };
    let mut regions = vec![whole];
    regions.extend(definition.on_failure.clone().map(|block| Region {
        pointer: "/onFailure".to_owned(),
        name: Some(ON_FAILURE.to_owned()),
        around: Some(0),
        steps: block.steps,
        output: block.output,
        role: Role::OnFailure,
        depth: 1,
        ..regions[0].clone()
    }));
    let mut at = 0;
    while at < regions.len() {
        if regions[at].depth <= MAX_DEPTH {
            let inner = within(&regions[at], at);
            regions.extend(inner);
        }
        at += 1;
    }
    regions
}

fn within(region: &Region, at: usize) -> Vec<Region> {
    let mut inner = Vec::new();
    for (index, step) in region.steps.iter().enumerate() {
        inner.extend(step.compensate.clone().map(|block| Region {
            pointer: format!("{}/steps/{index}/compensate", region.pointer),
            name: Some(compensation_name(&step.id)),
            owner: step.id.clone(),
            around: Some(at),
            steps: block.steps,
            output: block.output,
            role: Role::Compensation,
            depth: region.depth + 1,
            ..region.clone()
        }));
        // What cannot be read is reported where configs are checked.
        let Some(control) = Control::of(step) else { continue };
        let of_items = control.kind() == ControlType::Map;
        for (pointer, branch, block) in blocks(control) {
            inner.push(Region {
                pointer: format!("{}/steps/{index}{pointer}", region.pointer),
                name: Some(block_name(&step.id, branch.as_deref())),
                owner: step.id.clone(),
                around: Some(at),
                steps: block.steps,
                output: block.output,
                has_item: region.has_item || of_items,
                role: Role::Body,
                depth: region.depth + 1,
            });
        }
    }
    inner
}

/// What a region is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the definition itself, or what a step runs.
    Body,
    /// It undoes what its step has done.
    Compensation,
    /// It runs when the execution has failed.
    OnFailure,
}

/// The block that runs when an execution has failed.
pub const ON_FAILURE: &str = ":onFailure";

/// The block that undoes what a step has done.
pub fn compensation_name(step: &str) -> String {
    format!("{step}:compensate")
}

/// Whether a block is run for items: it is a map's.
pub fn is_of_items(block: &str) -> bool {
    !block.contains(['.', ':'])
}

/// A block's name.
pub fn block_name(step: &str, branch: Option<&str>) -> String {
    branch.map_or_else(|| step.to_owned(), |branch| format!("{step}.{branch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_all_children_rounded_down() {
        assert_eq!(Tolerance::Percent("10%".into()).of(19), 1);
        assert_eq!(Tolerance::Percent("100%".into()).of(10_000), 10_000);
        assert_eq!(Tolerance::Count(3).of(2), 3);
    }
}
