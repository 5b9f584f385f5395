//! A definition made ready to run: steps by id, types and expressions parsed. One per version, shared by all
//! of its executions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::definition::{Definition, Step};
use crate::expression::{Expression, Template};
use crate::retry::RetryPolicy;
use crate::step_type::StepType;
use crate::validate::PointedError;

/// Which plugin digest each plugin step type of a version is locked to: `acme/profile@^1.2` → `sha256:…`.
pub type PluginLock = BTreeMap<String, String>;

/// A version, ready to run.
#[derive(Debug)]
pub struct Plan {
    /// The workflow's name.
    pub workflow: String,
    /// The version's number, from 1.
    pub version: i32,
    /// The first step's id.
    pub first: String,
    /// The whole execution's bound, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// The mapping of the execution's output.
    pub output: Option<Template>,
    steps: HashMap<String, Arc<PlannedStep>>,
}

/// A step, ready to run.
#[derive(Debug)]
pub struct PlannedStep {
    /// What the author wrote.
    pub step: Step,
    /// The parsed type.
    pub kind: StepType,
    /// The digest that a plugin step is locked to.
    pub plugin_digest: Option<String>,
    /// The policy with its defaults.
    pub retry: RetryPolicy,
    /// `config`, parsed.
    pub config: Template,
    /// `when`, parsed.
    pub when: Option<Expression>,
    /// `output`, parsed.
    pub output: Option<Template>,
    /// `retryPolicy.when`, parsed.
    pub retry_when: Option<Expression>,
}

impl Plan {
    /// Parses everything in a definition that has a language of its own. All problems are reported.
    pub fn compile(
        definition: &Definition,
        version: i32,
        lock: &PluginLock,
    ) -> Result<Self, Vec<PointedError>> {
        let mut errors = Vec::new();
        let mut steps = HashMap::new();
        for (index, step) in definition.steps.iter().enumerate() {
            let mut at = At { pointer: format!("/steps/{index}"), errors: &mut errors };
            if let Some(planned) = at.step(step, lock) {
                steps.insert(step.id.clone(), Arc::new(planned));
            }
        }
        let mut at = At { pointer: String::new(), errors: &mut errors };
        let output = definition.output.as_ref().and_then(|value| at.template("/output", value));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            workflow: definition.name.clone(),
            version,
            first: definition.steps.first().map(|step| step.id.clone()).unwrap_or_default(),
            deadline_ms: definition.deadline_ms,
            output,
            steps,
        })
    }

    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<&Arc<PlannedStep>> {
        self.steps.get(id)
    }

    /// How many steps there are.
    pub fn step_count(&self) -> usize {
        self.steps.len()
    }
}

/// The bare source of an expression that may be written with or without `${…}`, as in `when`.
fn bare(source: &str) -> &str {
    let inner = source.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.unwrap_or(source).trim()
}

struct At<'a> {
    pointer: String,
    errors: &'a mut Vec<PointedError>,
}

impl At<'_> {
    fn step(&mut self, step: &Step, lock: &PluginLock) -> Option<PlannedStep> {
        let config = self.template("/config", &Value::Object(step.config.clone()));
        let retry = step.retry();
        let when = self.expression("/when", step.when.as_deref());
        let output = step.output.as_ref().and_then(|value| self.template("/output", value));
        let retry_when = self.expression("/retryPolicy/when", retry.when.as_deref());
        let kind = match step.step_type.parse::<StepType>() {
            Ok(kind) => kind,
            Err(error) => {
                self.push("/type", "UNKNOWN_STEP_TYPE", error.to_string());
                return None;
            }
        };
        Some(PlannedStep {
            step: step.clone(),
            kind,
            plugin_digest: lock.get(&step.step_type).cloned(),
            retry,
            config: config?,
            when,
            output,
            retry_when,
        })
    }

    fn template(&mut self, field: &str, value: &Value) -> Option<Template> {
        Template::parse(value)
            .map_err(|errors| {
                for error in errors {
                    let place = format!("{field}{}", error.pointer);
                    self.push(&place, "EXPRESSION_INVALID", error.error.to_string());
                }
            })
            .ok()
    }

    fn expression(&mut self, field: &str, source: Option<&str>) -> Option<Expression> {
        Expression::parse(bare(source?))
            .map_err(|error| self.push(field, "EXPRESSION_INVALID", error.to_string()))
            .ok()
    }

    fn push(&mut self, field: &str, code: &'static str, message: String) {
        let pointer = format!("{}{field}", self.pointer);
        self.errors.push(PointedError { pointer, code, message });
    }
}
