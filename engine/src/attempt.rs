//! What a step type is told about the attempt that it runs, and what it reports back.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::failure::Failure;
use crate::suspension::Suspension;
use crate::trace::TraceParent;

/// The facts of one attempt that every step type is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptContext {
    /// The execution that the step belongs to; for a step in a block, the one around all blocks.
    pub execution_id: Uuid,
    /// The places of the items that the step is run for, the outermost first; empty outside a `map`.
    pub items: Vec<u32>,
    /// The namespace that owns the execution.
    pub namespace: String,
    /// The workflow's name.
    pub workflow: String,
    /// The step's id in the definition.
    pub step_id: String,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The attempt's span.
    pub trace: TraceParent,
}

impl AttemptContext {
    /// The key that outside services deduplicate by: the same over all attempts of the step, for the same item.
    pub fn idempotency_key(&self) -> String {
        format!("{}.{}", self.execution_id, Place(self))
    }
}

/// The step, and the item of each `map` that it is within.
struct Place<'a>(&'a AttemptContext);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.step_id)?;
        self.0.items.iter().try_for_each(|item| write!(f, ".{item}"))
    }
}

/// How serious a log line is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Finest detail.
    Trace,
    /// For whoever debugs the step.
    Debug,
    /// Worth knowing.
    #[default]
    Info,
    /// Odd, but handled.
    Warn,
    /// Wrong.
    Error,
}

impl LogLevel {
    /// The level as it is written everywhere, such as `warn`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line of an execution's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// How serious it is.
    pub level: LogLevel,
    /// The text.
    pub message: String,
    /// Structured facts beside the text.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The raw output.
    Succeeded(Value),
    /// Why there is none.
    Failed(Failure),
    /// The step goes on later, in another attempt.
    Suspended(Box<Suspension>),
}

impl Outcome {
    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Succeeded(_) | Self::Suspended(_) => None,
        }
    }

    /// The output, if there is one.
    pub fn output(&self) -> Option<&Value> {
        match self {
            Self::Succeeded(output) => Some(output),
            Self::Failed(_) | Self::Suspended(_) => None,
        }
    }
}

impl From<Result<Value, Failure>> for Outcome {
    fn from(result: Result<Value, Failure>) -> Self {
        result.map_or_else(Self::Failed, Self::Succeeded)
    }
}

/// What came of an attempt, and what it logged.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptReport {
    /// Output, failure or suspension.
    pub outcome: Outcome,
    /// The log lines, in order.
    pub logs: Vec<LogLine>,
}

impl AttemptReport {
    /// A report without log lines.
    pub fn of(result: Result<Value, Failure>) -> Self {
        Self { outcome: result.into(), logs: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_share_the_key() {
        let first = AttemptContext {
            execution_id: Uuid::from_u128(7),
            items: Vec::new(),
            namespace: "default".into(),
            workflow: "w".into(),
            step_id: "s".into(),
            attempt: 1,
            trace: TraceParent::of_execution(Uuid::from_u128(7)),
        };
        let second = AttemptContext { attempt: 2, ..first.clone() };
        assert_eq!(first.idempotency_key(), second.idempotency_key());
        let item = AttemptContext { items: vec![3, 0], ..first.clone() };
        assert_eq!(item.idempotency_key(), format!("{}.s.3.0", first.execution_id));
        assert_eq!(first.idempotency_key(), format!("{}.s", first.execution_id));
    }
}
