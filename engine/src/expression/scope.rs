//! What an expression can see.

use std::sync::Arc;

use cel::Context;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::references::References;
use super::values::{self, Extent};
use crate::callback::CallbackKey;
use crate::machine::{Item, StepState, Steps};

/// The names that exist in every scope, in the order in which a message lists them.
pub(super) const ROOTS: [&str; 11] = [
    "input",
    "steps",
    "execution",
    "workflow",
    "vars",
    "trigger",
    "error",
    "result",
    "item",
    "index",
    "event",
];

/// Whether a free variable is one that a scope may bind.
pub(super) fn is_root(name: &str) -> bool {
    ROOTS.contains(&name) || cel_type_names().contains(&name)
}

/// Type names are identifiers in CEL (`type(x) == string`).
fn cel_type_names() -> &'static [&'static str] {
    &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"]
}

/// The values of one evaluation. Borrowed: building a scope copies nothing.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The execution's input.
    pub input: &'a Value,
    /// The steps' records so far.
    pub steps: &'a Steps,
    /// The steps around the block that this is in.
    pub outer: Option<&'a Steps>,
    /// The item that the block is run for.
    pub item: Option<&'a Item>,
    /// The execution's id; a block's own.
    pub execution_id: Uuid,
    /// The id of the execution that a block is a part of.
    pub root_id: Uuid,
    /// The workflow's name.
    pub workflow: &'a str,
    /// The workflow's version.
    pub version: i32,
    /// The definition's constants.
    pub vars: &'a Map<String, Value>,
    /// The failure that led to an `onError` path.
    pub error: Option<&'a Value>,
    /// The raw result, in a step's own `output`.
    pub result: Option<&'a Value>,
    /// The message that a wait or a trigger looks at.
    pub event: Option<&'a Value>,
    /// What started the execution.
    pub trigger: &'a Value,
    /// What `waitToken()` is made with.
    pub callbacks: CallbackKey,
    /// The instant that `now()` gives.
    pub now: DateTime<Utc>,
    /// Names the place of the evaluation: `uuid()` is derived from it, so that the attempts of a step agree.
    pub place: &'a str,
}

impl Scope<'_> {
    /// Binds what `references` names, and says how large it is.
    pub(super) fn bind(&self, context: &mut Context<'_, '_>, references: &References) -> Extent {
        let mut extent = Extent::default();
        for root in &references.roots {
            if let Some(value) = self.root(root, references, &mut extent) {
                context.add_variable_from_value(root.as_str(), value);
            }
        }
        extent
    }

    fn root(&self, name: &str, references: &References, extent: &mut Extent) -> Option<cel::Value> {
        let json = match name {
            "input" => return Some(values::to_cel(self.input, extent)),
            "steps" => return Some(self.steps_value(references, extent)),
            "vars" => return Some(self.vars_value(references, extent)),
            "error" => return self.error.map(|error| values::to_cel(error, extent)),
            "result" => return self.result.map(|result| values::to_cel(result, extent)),
            "event" => return self.event.map(|event| values::to_cel(event, extent)),
            "trigger" => return Some(values::to_cel(self.trigger, extent)),
            "item" => return self.item.map(|item| values::to_cel(&item.value, extent)),
            "index" => return self.item.map(|item| cel::Value::Int(i64::from(item.index))),
            "execution" => json!({ "id": self.root_id }),
            "workflow" => json!({ "name": self.workflow, "version": self.version }),
            _ => return None,
        };
        Some(values::to_cel(&json, extent))
    }

    fn steps_value(&self, references: &References, extent: &mut Extent) -> cel::Value {
        let outer = self.outer.into_iter().flatten();
        let steps = outer.chain(self.steps).filter(|(id, _)| references.steps.reads(id));
        values::object(
            steps
                .map(|(id, step)| (id.as_str(), step_value(step, extent)))
                .collect::<Vec<_>>()
                .into_iter(),
        )
    }

    fn vars_value(&self, references: &References, extent: &mut Extent) -> cel::Value {
        let vars = self.vars.iter().filter(|(name, _)| references.vars.reads(name));
        values::object(vars.map(|(name, value)| (name.as_str(), values::to_cel(value, extent))))
    }
}

fn step_value(step: &StepState, extent: &mut Extent) -> cel::Value {
    let output =
        step.output.as_deref().map_or(cel::Value::Null, |value| values::to_cel(value, extent));
    let error = step.error.as_ref().map_or(cel::Value::Null, |error| values::to_cel(error, extent));
    let status = cel::Value::String(Arc::new(step.status.as_str().to_owned()));
    let fields = [
        ("output", output),
        ("error", error),
        ("status", status),
        ("attempts", cel::Value::Int(i64::from(step.attempts))),
    ];
    values::object(fields.into_iter())
}
