//! Reads a definition that the schemas refuse, so that one misspelt field does not hide what is wrong with the rest.
//!
//! What is refused is noted, and taken out or replaced in a copy: unknown fields, values of another type. The copy is
//! judged like any definition, and never published. What was taken out may be the cause of what is found there, so
//! [`Doubts`] remembers it: nothing is said that may be its consequence.

use std::collections::BTreeSet;

use jsonschema::JsonType;
use serde_json::{Value, json};

use super::schema::{self, Fault, MAX_PROBLEMS, Repair};
use crate::control::{ControlType, MAX_DEPTH};
use crate::definition::Definition;
use crate::diagnostic::Diagnostic;
use crate::expression::child;

/// What is put in may be refused in turn, as an object without its fields: how often that is put right.
const ROUNDS: usize = 4;
/// No author can write an id like this.
const PLACEHOLDER: &str = "?";

/// What could be read of a document.
pub(super) struct Salvaged {
    /// The definition, or what is left of it; `None` if that is nothing.
    pub(super) definition: Option<Definition>,
    /// What the schemas refuse.
    pub(super) problems: Vec<Diagnostic>,
    pub(super) doubts: Doubts,
}

/// What was taken out, and may be the cause of what is found in the rest.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Where the schemas refuse something.
    refused: BTreeSet<String>,
    /// What is not the author's any more.
    replaced: BTreeSet<String>,
    /// All words in what was taken out: they may be ids of steps, and names.
    mentioned: BTreeSet<String>,
}

impl Doubts {
    /// Whether a word may be known after all: it stands in what was taken out.
    pub(super) fn may_know(&self, word: &str) -> bool {
        self.mentioned.contains(word)
    }

    /// Whether a step was left without the id that its author gave it.
    pub(super) fn is_placeholder(id: &str) -> bool {
        id.starts_with(PLACEHOLDER)
    }

    /// Whether a problem of what is left may be no more than a consequence.
    pub(super) fn cover(&self, problem: &Diagnostic) -> bool {
        let place = problem.pointer.as_str();
        let around = std::iter::successors(Some(place), |it| it.rsplit_once('/').map(|it| it.0));
        let mut around = around;
        self.refused.contains(place)
            || around.any(|it| self.replaced.contains(it))
            || (problem.code == "CONFIG_INVALID"
                && self.replaced.iter().any(|it| is_within(it, place)))
    }
}

fn is_within(pointer: &str, around: &str) -> bool {
    pointer.strip_prefix(around).is_some_and(|rest| rest.starts_with('/'))
}

/// Reads a document as far as it can be read.
pub(super) fn read(value: &Value) -> Salvaged {
    let mut salvage = Salvage { problems: Vec::new(), doubts: Doubts::default(), placeholders: 0 };
    let mut copy = value.clone();
    let readable = salvage.mend("", &mut copy, &mut schema::check_definition);
    if readable {
        salvage.block("", &mut copy, 0);
        if let Some(on_failure) = copy.get_mut("onFailure") {
            salvage.block("/onFailure", on_failure, 1);
        }
    }
    let Salvage { mut problems, doubts, .. } = salvage;
    let definition = readable.then(|| serde_json::from_value(copy));
    let definition = match definition {
        Some(Ok(definition)) => Some(definition),
        Some(Err(error)) if problems.is_empty() => {
            problems.push(Diagnostic::new("", "SCHEMA", error.to_string()));
            None
        }
        _ => None,
    };
    Salvaged { definition, problems, doubts }
}

struct Salvage {
    problems: Vec<Diagnostic>,
    doubts: Doubts,
    placeholders: usize,
}

impl Salvage {
    /// The configs of a block's control steps, and the blocks within the block.
    fn block(&mut self, pointer: &str, block: &mut Value, depth: usize) {
        // What nests more deeply is refused as such.
        let steps = block.get_mut("steps").and_then(Value::as_array_mut);
        let Some(steps) = steps.filter(|_| depth <= MAX_DEPTH) else { return };
        for (index, step) in steps.iter_mut().enumerate() {
            let pointer = format!("{pointer}/steps/{index}");
            self.config(&pointer, step, depth);
            if let Some(compensate) = step.get_mut("compensate") {
                self.block(&format!("{pointer}/compensate"), compensate, depth + 1);
            }
        }
    }

    fn config(&mut self, step_pointer: &str, step: &mut Value, depth: usize) {
        let kind = step.get("type").and_then(Value::as_str).and_then(ControlType::named);
        let (Some(kind), Some(fields)) = (kind, step.as_object_mut()) else { return };
        let config = fields.entry("config").or_insert_with(|| json!({}));
        let pointer = format!("{step_pointer}/config");
        let written = config.clone();
        let mut check = |config: &Value| {
            let mut faults = schema::check_control(kind, config);
            faults.retain(|fault| !is_for_later(fault, &written));
            faults.iter_mut().for_each(as_of_config);
            faults
        };
        if !self.mend(&pointer, config, &mut check) {
            return;
        }
        match kind {
            ControlType::Map => self.block(&pointer, config, depth + 1),
            ControlType::Parallel => {
                let branches = config.get_mut("branches").and_then(Value::as_object_mut);
                for (name, branch) in branches.into_iter().flatten() {
                    let pointer = child(&format!("{pointer}/branches"), name);
                    self.block(&pointer, branch, depth + 1);
                }
            }
            _ => {}
        }
    }

    /// Notes what `check` refuses of a value, and puts it right. Whether that succeeded.
    fn mend(
        &mut self,
        pointer: &str,
        value: &mut Value,
        check: &mut dyn FnMut(&Value) -> Vec<Fault>,
    ) -> bool {
        for round in 0..ROUNDS {
            let faults = check(value);
            if faults.is_empty() {
                return true;
            }
            // Of what it has put in itself, nothing is said.
            if round == 0 {
                self.say(pointer, &faults);
            }
            if faults.len() > MAX_PROBLEMS {
                return false;
            }
            if faults.iter().all(|fault| fault.repair == Repair::Nothing) {
                return true;
            }
            for fault in &faults {
                self.repair(pointer, value, fault);
            }
        }
        false
    }

    /// Notes faults; of a field that is there under a misspelt name, not that it is missing.
    fn say(&mut self, pointer: &str, faults: &[Fault]) {
        let meant = misspelt(faults);
        let is_there = |fault: &Fault| match &fault.repair {
            Repair::Add(name) => meant.contains(&child(&fault.diagnostic.pointer, name)),
            _ => false,
        };
        for Fault { diagnostic, .. } in faults.iter().filter(|fault| !is_there(fault)) {
            let mut said = diagnostic.clone();
            said.pointer.insert_str(0, pointer);
            self.doubts.refused.insert(said.pointer.clone());
            self.problems.push(said);
        }
    }

    fn repair(&mut self, pointer: &str, value: &mut Value, fault: &Fault) {
        let at = &fault.diagnostic.pointer;
        match &fault.repair {
            Repair::Nothing => {}
            Repair::Remove(meant) => self.remove(pointer, value, at, meant.as_deref()),
            Repair::Add(name) => {
                let Some(fields) = value.pointer_mut(at).and_then(Value::as_object_mut) else {
                    return;
                };
                fields.insert(name.clone(), self.filler(name));
                self.doubts.replaced.insert(format!("{pointer}{}", child(at, name)));
            }
            Repair::Replace(at, expected) => self.replace(pointer, value, at, *expected),
        }
    }

    fn remove(&mut self, pointer: &str, value: &mut Value, at: &str, meant: Option<&str>) {
        let Some((parent, name)) = at.rsplit_once('/') else { return };
        let fields = value.pointer_mut(parent).and_then(Value::as_object_mut);
        let Some(taken) = fields.and_then(|fields| fields.remove(&unescaped(name))) else { return };
        self.doubts.replaced.insert(format!("{pointer}{at}"));
        if let Some(meant) = meant {
            self.doubts.replaced.insert(format!("{pointer}{}", child(parent, meant)));
        }
        self.mention(&taken);
    }

    fn replace(&mut self, pointer: &str, value: &mut Value, at: &str, expected: Option<JsonType>) {
        let Some((parent, name)) = at.rsplit_once('/') else { return };
        let name = unescaped(name);
        let in_list = value.pointer(parent).is_some_and(Value::is_array);
        let with = match expected {
            _ if is_way(&name) => Some(self.placeholder()),
            _ if in_list && parent.ends_with("/triggers") => Some(json!({ "type": "manual" })),
            Some(JsonType::Array) if name != "cases" => Some(json!([])),
            Some(JsonType::String | JsonType::Array) => Some(self.filler(&name)),
            Some(JsonType::Object) => Some(json!({})),
            // An item cannot go without the others: their places would change.
            _ if in_list => return self.replace(pointer, value, parent, None),
            _ => return self.remove(pointer, value, at, None),
        };
        let (Some(place), Some(with)) = (value.pointer_mut(at), with) else { return };
        let taken = std::mem::replace(place, with);
        self.doubts.replaced.insert(format!("{pointer}{at}"));
        self.mention(&taken);
    }

    /// Something that can be read where a field of this name has to stand.
    fn filler(&mut self, name: &str) -> Value {
        match name {
            "steps" | "items" => json!([]),
            // Nobody knows where they lead.
            "cases" => json!([{ "when": "true", "next": self.placeholder() }]),
            "branches" => json!({}),
            "when" => json!("true"),
            _ => self.placeholder(),
        }
    }

    fn placeholder(&mut self) -> Value {
        self.placeholders += 1;
        json!(format!("{PLACEHOLDER}{}", self.placeholders))
    }

    fn mention(&mut self, taken: &Value) {
        match taken {
            Value::String(text) => {
                self.doubts.mentioned.insert(text.clone());
            }
            Value::Number(number) => {
                self.doubts.mentioned.insert(number.to_string());
            }
            Value::Array(items) => items.iter().for_each(|item| self.mention(item)),
            Value::Object(fields) => {
                self.doubts.mentioned.extend(fields.keys().cloned());
                fields.values().for_each(|field| self.mention(field));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// The fields that are there under a misspelt name.
fn misspelt(faults: &[Fault]) -> BTreeSet<String> {
    let meant = faults.iter().filter_map(|fault| match &fault.repair {
        Repair::Remove(meant) => {
            let (parent, _) = fault.diagnostic.pointer.rsplit_once('/')?;
            Some(child(parent, meant.as_deref()?))
        }
        _ => None,
    });
    meant.collect()
}

/// Whether a field says which step follows. Without it, no step may be called unreachable.
fn is_way(field: &str) -> bool {
    matches!(field, "next" | "onError" | "default" | "onTimeout")
}

/// Whether a fault may be none once an expression has been evaluated. The engine reads these configs itself before anything
/// runs, so types have to be right as they are written.
fn is_for_later(fault: &Fault, config: &Value) -> bool {
    let written = || config.pointer(&fault.diagnostic.pointer);
    !is_structural(&fault.diagnostic)
        && fault.diagnostic.code != "WRONG_TYPE"
        && written().is_some_and(super::steps::holds_expression)
}

fn is_structural(problem: &Diagnostic) -> bool {
    matches!(problem.code.as_str(), "UNKNOWN_FIELD" | "MISSING_FIELD")
}

/// What is wrong in a `config` is a matter of the step type.
fn as_of_config(fault: &mut Fault) {
    if is_structural(&fault.diagnostic) {
        return;
    }
    if fault.diagnostic.code == "WRONG_TYPE" && fault.diagnostic.message.contains("${") {
        fault.diagnostic.help = Some(
            "write it out: this is read before anything runs, so no expression can stand here"
                .into(),
        );
    }
    "CONFIG_INVALID".clone_into(&mut fault.diagnostic.code);
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
