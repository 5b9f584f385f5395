//! What can go wrong with an attempt, as data: a closed list of codes, a sentence, and a word on retrying.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The closed list of error codes: in results, in metrics and in retry policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The HTTP response had a status that the step did not expect.
    HttpStatus,
    /// The HTTP peer could not be reached, or the connection broke.
    HttpConnect,
    /// The TLS handshake failed.
    HttpTls,
    /// The destination is not one that the step may talk to.
    EgressDenied,
    /// The attempt ran longer than its `timeoutMs`.
    Timeout,
    /// The worker that ran the attempt stopped renewing its lease.
    WorkerLost,
    /// Somebody cancelled the execution.
    Cancelled,
    /// The plugin used up its fuel.
    FuelExhausted,
    /// The plugin asked for more memory or table space than its limit.
    MemoryLimit,
    /// The plugin recursed too deeply.
    StackOverflow,
    /// The plugin trapped: a panic, an out-of-bounds access, a division by zero.
    GuestTrap,
    /// The plugin used a capability that it was not granted.
    CapabilityDenied,
    /// The plugin itself reported a failure.
    PluginError,
    /// The plugin version that the workflow is locked to is not stored.
    PluginMissing,
    /// The output is larger than its limit.
    OutputTooLarge,
    /// The step's resolved `config` is not what the step type accepts.
    ConfigInvalid,
    /// An expression could not be evaluated.
    ExpressionError,
    /// The input does not match `inputSchema`.
    InputInvalid,
    /// The execution passed its `deadlineMs`.
    DeadlineExceeded,
    /// A child execution failed.
    ChildFailed,
    /// The workflow's author made it fail, with a `fail` step.
    StepFailed,
    /// `StateFlow` itself is at fault.
    Internal,
}

impl ErrorCode {
    /// The code as it is written everywhere, such as `HTTP_STATUS`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HttpStatus => "HTTP_STATUS",
            Self::HttpConnect => "HTTP_CONNECT",
            Self::HttpTls => "HTTP_TLS",
            Self::EgressDenied => "EGRESS_DENIED",
            Self::Timeout => "TIMEOUT",
            Self::WorkerLost => "WORKER_LOST",
            Self::Cancelled => "CANCELLED",
            Self::FuelExhausted => "FUEL_EXHAUSTED",
            Self::MemoryLimit => "MEMORY_LIMIT",
            Self::StackOverflow => "STACK_OVERFLOW",
            Self::GuestTrap => "GUEST_TRAP",
            Self::CapabilityDenied => "CAPABILITY_DENIED",
            Self::PluginError => "PLUGIN_ERROR",
            Self::PluginMissing => "PLUGIN_MISSING",
            Self::OutputTooLarge => "OUTPUT_TOO_LARGE",
            Self::ConfigInvalid => "CONFIG_INVALID",
            Self::ExpressionError => "EXPRESSION_ERROR",
            Self::InputInvalid => "INPUT_INVALID",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::ChildFailed => "CHILD_FAILED",
            Self::StepFailed => "STEP_FAILED",
            Self::Internal => "INTERNAL",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the failed party says about trying again. The retry policy has the last word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryAdvice {
    /// Nothing said: the policy decides.
    #[default]
    Policy,
    /// Trying again will not help; only a policy that names the code in `retryOn` retries it.
    Permanent,
    /// Not before this many milliseconds (HTTP `Retry-After`, a plugin's `rate-limited`).
    AfterMs(u64),
}

/// Why an attempt, a step or an execution failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One of the closed list.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub message: String,
    /// Facts for a program: the HTTP status and body, the guest's exit code, the limit that was hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Advice on retrying.
    #[serde(default, skip)]
    pub advice: RetryAdvice,
}

impl Failure {
    /// A failure without details that leaves retrying to the policy.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, advice: RetryAdvice::Policy }
    }

    /// A failure that only an explicit `retryOn` retries.
    pub fn permanent(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { advice: RetryAdvice::Permanent, ..Self::new(code, message) }
    }

    /// The same failure with facts attached.
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// The same failure with other advice on retrying.
    pub fn with_advice(mut self, advice: RetryAdvice) -> Self {
        self.advice = advice;
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_written_the_same_way_by_serde_and_by_display() {
        for code in [ErrorCode::HttpStatus, ErrorCode::WorkerLost, ErrorCode::Internal] {
            assert_eq!(serde_json::to_value(code).unwrap(), Value::from(code.as_str()));
        }
    }
}
