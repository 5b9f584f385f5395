//! Everything that can be known to be wrong with a definition before it runs, reported all at once.
//!
//! In order: JSON syntax, the JSON Schema, then what no schema can say: names, ways through the steps,
//! expressions, each step's `config` against its type. What the schema refuses is taken out, and the rest is judged all
//! the same: [`salvage`].

mod graph;
mod order;
mod salvage;
mod schema;
mod steps;

pub use schema::check_instance;

use serde_json::Value;

use crate::control;
use crate::definition::{Definition, MAX_DEFINITION_BYTES};
use crate::diagnostic::Diagnostic;
use crate::expression::{ExpressionError, SyntaxError};
use crate::plan::{Plan, PluginLock};
use crate::position;
use crate::step_type::PluginReference;
use graph::Graph;
use order::Order;
use salvage::{Doubts, Salvaged};
use schema::MAX_PROBLEMS;

/// A problem at a JSON pointer, before it becomes a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointedError {
    /// Where.
    pub pointer: String,
    /// The diagnostic's code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// More about it, if it is an expression that cannot be read.
    pub syntax: Option<SyntaxError>,
}

impl PointedError {
    /// An expression that cannot be used.
    pub(crate) fn expression(pointer: String, error: &ExpressionError) -> Self {
        let syntax = error.syntax().cloned();
        Self { pointer, code: "EXPRESSION_INVALID", message: error.to_string(), syntax }
    }
}

impl From<PointedError> for Diagnostic {
    fn from(error: PointedError) -> Self {
        let (help, expression) = error.syntax.map_or((None, None), |it| (it.help, it.excerpt));
        let plain = Self::new(error.pointer, error.code, error.message);
        Self { help, expression, ..plain }
    }
}

/// What step types there are besides those that the engine itself carries out.
pub trait StepCatalog {
    /// Looks a built-in type up.
    fn native(&self, name: &str) -> CatalogEntry;
    /// Looks a plugin up.
    fn plugin(&self, reference: &PluginReference) -> CatalogEntry;
    /// What is wrong with a rule of egress, if anything is. Who knows nothing of such rules finds none wrong.
    fn faulty_rule(&self, rule: &str) -> Option<String> {
        let _ = rule;
        None
    }
}

/// What is known of a step type.
#[derive(Clone, Debug, PartialEq)]
pub enum CatalogEntry {
    /// It exists; this is what its `config` must look like, if it says.
    Known {
        /// JSON Schema of the resolved `config`.
        config_schema: Option<Value>,
    },
    /// It does not exist.
    Unknown {
        /// What to do about it.
        help: Option<String>,
    },
    /// It cannot be looked up here: a plugin, offline.
    Unchecked,
}

/// Validates a definition's text. The diagnostics carry lines and columns.
pub fn validate_text(text: &str, catalog: &dyn StepCatalog) -> Result<Definition, Vec<Diagnostic>> {
    if text.len() > MAX_DEFINITION_BYTES {
        let message =
            format!("the definition has {} bytes, the limit is {MAX_DEFINITION_BYTES}", text.len());
        return Err(vec![Diagnostic::new("", "DEFINITION_TOO_LARGE", message)]);
    }
    let value = serde_json::from_str(text).map_err(|error| vec![syntax(&error)])?;
    validate_value(&value, catalog).map_err(|mut diagnostics| {
        for diagnostic in &mut diagnostics {
            if let Some((line, column)) = position::locate(text, &diagnostic.pointer) {
                diagnostic.line = Some(line);
                diagnostic.column = Some(column);
            }
        }
        let is_note = |it: &Diagnostic| it.code == "TOO_MANY_PROBLEMS";
        diagnostics.sort_by_key(|it| (is_note(it), it.line, it.column));
        diagnostics
    })
}

/// Validates a definition's value.
pub fn validate_value(
    value: &Value,
    catalog: &dyn StepCatalog,
) -> Result<Definition, Vec<Diagnostic>> {
    let Salvaged { definition, mut problems, doubts } = salvage::read(value);
    if let Some(definition) = &definition {
        let found = judge(definition, catalog, &doubts);
        problems.extend(found.into_iter().filter(|problem| !doubts.cover(problem)));
    }
    match definition {
        Some(definition) if problems.is_empty() => Ok(definition),
        _ => Err(within_limit(problems)),
    }
}

/// What can be read of a definition that need not be valid: for looking up what it names.
pub fn legible(text: &str) -> Option<Definition> {
    let value = serde_json::from_str(text).ok().filter(|_| text.len() <= MAX_DEFINITION_BYTES)?;
    salvage::read(&value).definition
}

/// What no schema can say.
fn judge(definition: &Definition, catalog: &dyn StepCatalog, doubts: &Doubts) -> Vec<Diagnostic> {
    let regions = control::regions(definition);
    let mut problems = graph::extent(&regions);
    if problems.iter().any(|it| it.code == "TOO_MANY_STEPS") {
        return problems;
    }
    let graphs: Vec<_> =
        regions.iter().map(|region| Graph::of(&region.steps, catalog, doubts)).collect();
    problems.extend(graph::check(&regions, &graphs, doubts));
    problems.extend(schema::check_input_schema(definition));
    problems.extend(steps::check_vars(definition));
    problems.extend(steps::check(&regions, catalog));
    problems.extend(steps::check_triggers(definition, doubts));
    let (plan, errors) = Plan::outline(definition, 0, &PluginLock::new());
    let order = Order { regions: &regions, graphs: &graphs };
    problems.extend(steps::check_references(&order, &plan, doubts));
    // The steps' own check has said these already, in better words.
    let said = |it: &PointedError| matches!(it.code, "UNKNOWN_STEP_TYPE" | "CONFIG_INVALID");
    problems.extend(errors.into_iter().filter(|error| !said(error)).map(Diagnostic::from));
    problems
}

/// No answer has more than [`MAX_PROBLEMS`]; the last one then says so.
fn within_limit(mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if problems.len() > MAX_PROBLEMS {
        problems.truncate(MAX_PROBLEMS - 1);
        let message =
            format!("there are more problems than the {} that are listed", MAX_PROBLEMS - 1);
        let note = Diagnostic::new("", "TOO_MANY_PROBLEMS", message);
        problems.push(note.with_help("validate again when these are put right"));
    }
    problems
}

/// Where `serde_json` gave up.
fn syntax(error: &serde_json::Error) -> Diagnostic {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let mut diagnostic = Diagnostic::new("", "SYNTAX", message);
    diagnostic.line = Some(error.line());
    diagnostic.column = Some(error.column());
    diagnostic
}

#[cfg(test)]
mod tests;
