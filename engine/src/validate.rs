//! Everything that can be known to be wrong with a definition before it runs, reported all at once.
//!
//! In order: JSON syntax, the JSON Schema, then what no schema can say: names, ways through the steps,
//! expressions, each step's `config` against its type. A later stage runs only on what an earlier one accepted.

mod graph;
mod schema;
mod steps;

pub use schema::check_instance;

use serde_json::Value;

use crate::control;
use crate::definition::{Definition, MAX_DEFINITION_BYTES};
use crate::diagnostic::Diagnostic;
use crate::plan::{Plan, PluginLock};
use crate::position;
use crate::step_type::PluginReference;

/// A problem at a JSON pointer, before it becomes a [`Diagnostic`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointedError {
    /// Where.
    pub pointer: String,
    /// The diagnostic's code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
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
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        diagnostics
    })
}

/// Validates a definition's value.
pub fn validate_value(
    value: &Value,
    catalog: &dyn StepCatalog,
) -> Result<Definition, Vec<Diagnostic>> {
    let problems = schema::check_definition(value);
    if !problems.is_empty() {
        return Err(problems);
    }
    let definition: Definition = serde_json::from_value(value.clone())
        .map_err(|error| vec![Diagnostic::new("", "SCHEMA", error.to_string())])?;
    let regions = control::regions(&definition);
    let mut problems = graph::check(&regions);
    problems.extend(schema::check_input_schema(&definition));
    problems.extend(steps::check_vars(&definition));
    problems.extend(steps::check(&regions, catalog));
    problems.extend(steps::check_triggers(&definition));
    match Plan::compile(&definition, 0, &PluginLock::new()) {
        Ok(plan) => problems.extend(steps::check_references(&regions, &plan)),
        Err(errors) => problems.extend(
            errors
                .into_iter()
                // The steps' own check has said so already, in better words.
                .filter(|error| !matches!(error.code, "UNKNOWN_STEP_TYPE" | "CONFIG_INVALID"))
                .map(|error| Diagnostic::new(error.pointer, error.code, error.message)),
        ),
    }
    if problems.is_empty() { Ok(definition) } else { Err(problems) }
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
