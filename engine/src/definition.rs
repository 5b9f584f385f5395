//! The definition: the immutable JSON document of one version, as Rust types.
//!
//! The JSON Schema that editors and `POST /api/workflows` use is generated from these types. What is not here
//! does not exist yet: an unknown field is an error, never ignored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::control::Block;
use crate::retry::RetryPolicy;

/// The most steps of one definition.
pub const MAX_STEPS: usize = 1_000;
/// The largest definition, in bytes.
pub const MAX_DEFINITION_BYTES: usize = 1 << 20;
/// The largest input and the largest output, in bytes of JSON.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;
/// How long one attempt may take when the step does not say, in milliseconds.
pub const DEFAULT_TIMEOUT_MS: u64 = 60_000;
/// How long a step waits for others when it does not say, in milliseconds: 30 days. Nothing hangs for ever by default.
pub const DEFAULT_WAIT_TIMEOUT_MS: u64 = 2_592_000_000;
/// The longest `timeoutMs` and `deadlineMs`, in milliseconds: ten years, so that instants stay in range.
pub const MAX_DURATION_MS: u64 = 315_360_000_000;

/// A workflow, as its author writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// For editors: where the JSON Schema is.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The workflow's name within its namespace.
    #[schemars(regex(pattern = r"^[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?$"))]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub description: Option<String>,
    /// What the input must look like: a JSON Schema (2020-12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// What executions are found by out of their input: JSON pointers to scalars, such as `/order/id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(max = 200), regex(pattern = r"^(?:/(?:[^~/]|~[01])*)*$"))
    )]
    #[schemars(extend("uniqueItems" = true))]
    pub searchable: Vec<String>,
    /// Constants, as `vars.NAME` in every expression. They are taken as they stand: no expressions in them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// The steps. An execution starts at the first; `next` leads on.
    #[schemars(length(min = 1, max = 1000))]
    pub steps: Vec<Step>,
    /// The execution's output, usually an expression. Without it: the output of the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// How long the whole execution may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000_000_i64))]
    pub deadline_ms: Option<u64>,
    /// How long executions are kept after they have ended; what is not said here is as the operator has set it.
    #[serde(default, skip_serializing_if = "Retention::is_unsaid")]
    pub retention: Retention,
    /// Runs when the execution has failed, after everything was undone, with `error` in scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Block>,
    /// What starts executions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// What starts executions, if there is more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub triggers: Vec<Trigger>,
}

impl Definition {
    /// All of its triggers, and where each stands.
    pub fn all_triggers(&self) -> impl Iterator<Item = (String, &Trigger)> {
        let one = self.trigger.iter().map(|it| ("/trigger".to_owned(), it));
        let more = self.triggers.iter().enumerate();
        one.chain(more.map(|(at, it)| (format!("/triggers/{at}"), it)))
    }
}

/// How long ended executions are kept, in days, by how they ended. The newest version's counts for all of the workflow's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Retention {
    /// Those that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub succeeded_days: Option<u32>,
    /// Those that failed; dead letters stay until somebody has looked at them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub failed_days: Option<u32>,
    /// Those that were cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub cancelled_days: Option<u32>,
}

impl Retention {
    fn is_unsaid(&self) -> bool {
        *self == Self::default()
    }
}

/// One unit of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Names the step within the definition.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,99})$"))]
    pub id: String,
    /// `http`, `log`, or a plugin: `team/name`, `team/name@^1.2`.
    #[serde(rename = "type")]
    pub step_type: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub name: Option<String>,
    /// What the step type is told; strings may hold `${…}` expressions.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// Run only if this expression is true; otherwise the step is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Maps the raw result (`result` in scope) to the step's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// When and how often to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// How long one attempt may take, in milliseconds. Default 60000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000_000_i64))]
    pub timeout_ms: Option<u64>,
    /// The step that follows; without it the execution ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The step that runs when all attempts have failed; without it the execution fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<String>,
    /// Undoes what the step has done, if the execution fails or is cancelled after the step has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<Block>,
    /// Tighter limits for a plugin step, never above the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<StepLimits>,
}

impl Step {
    /// How long one attempt may take, in milliseconds: `timeoutMs`, further bounded by `limits.timeoutMs`.
    pub fn attempt_timeout_ms(&self) -> u64 {
        let own = self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);
        let limit = self.limits.as_ref().and_then(|limits| limits.timeout_ms);
        limit.map_or(own, |limit| own.min(limit))
    }

    /// How long it waits for others, in milliseconds: for children.
    pub fn wait_timeout_ms(&self) -> u64 {
        self.timeout_ms.unwrap_or(DEFAULT_WAIT_TIMEOUT_MS)
    }

    /// The policy, or the defaults: one attempt.
    pub fn retry(&self) -> RetryPolicy {
        self.retry_policy.clone().unwrap_or_default()
    }
}

/// A plugin step's own limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepLimits {
    /// Units of fuel, about one per WebAssembly instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub fuel: Option<u64>,
    /// Linear memory, in mebibytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub memory_mb: Option<u64>,
    /// Wall clock of one attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000_000_i64))]
    pub timeout_ms: Option<u64>,
    /// What it may reach, out of what the plugin and its namespace may: rules such as `https://api.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub hosts: Option<Vec<String>>,
    /// The secrets that it may use, out of those that the plugin and its namespace may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub secrets: Option<Vec<String>>,
}

/// A rule that starts executions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub enum Trigger {
    /// Somebody asks for it.
    Manual {},
    /// An event starts one.
    Event {
        /// The event's name.
        #[schemars(regex(pattern = r"^[A-Za-z0-9._/-]{1,200}$"))]
        event: String,
        /// An expression over `event.data`; the event starts an execution only if it is true.
        #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
        matching: Option<String>,
        /// The execution's input, usually an expression over `event`; without it, `event.data`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
    },
}

/// The JSON Schema (2020-12) of a definition, generated from the types above.
pub fn json_schema() -> Value {
    let mut schema = schemars::schema_for!(Definition).to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), Value::from("StateFlow workflow"));
    }
    schema
}
