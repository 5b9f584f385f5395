//! Steps that wait for time, or for somebody else: an event, a callback, people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::MAX_DURATION_MS;

/// How far back a wait may look for an event, in milliseconds: 30 days.
pub const MAX_LOOKBACK_MS: u64 = 2_592_000_000;
/// The most people that an approval may ask.
pub const MAX_APPROVERS: usize = 100;

/// `wait`: lets time pass, or waits for an event or a callback. One of the four.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wait {
    /// So many milliseconds, or an expression that gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "milliseconds")]
    pub duration_ms: Option<Value>,
    /// Until this instant (RFC 3339), or an expression that gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Until this event comes: one for everybody, or a signal to this execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventWait>,
    /// Until somebody calls back: `waitToken('STEP')` is what they have to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenWait>,
    /// How long to wait for an event or a callback, in milliseconds; 30 days unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000_000_i64))]
    pub timeout_ms: Option<u64>,
    /// The step that follows if that is over; without it, the step fails with `TIMEOUT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<String>,
}

/// The event that a `wait` is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventWait {
    /// Its name, or an expression that gives it.
    #[schemars(length(min = 1, max = 1000))]
    pub name: String,
    /// An expression over `event.data` that is true for the event that is meant.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
    /// Takes an event too that came up to so many milliseconds before the step began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 2_592_000_000_i64))]
    pub lookback_ms: Option<u64>,
}

/// A callback. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenWait {}

/// `approval`: waits until people have said yes, or one has said no.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// What they are asked; may hold `${…}` expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
    /// Who is asked: a list of names, or an expression that gives one. Anybody, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvers: Option<Value>,
    /// How many of them have to approve; one, unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub count: Option<u32>,
    /// What an approval has to bring: a JSON Schema (2020-12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_schema: Option<Value>,
    /// How long to wait, in milliseconds; 30 days unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000_000_i64))]
    pub timeout_ms: Option<u64>,
    /// The step that follows if that is over; without it, the step fails with `TIMEOUT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<String>,
}

/// `emit`: sends an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Emit {
    /// Its name, or an expression that gives it.
    #[schemars(length(min = 1, max = 1000))]
    pub event: String,
    /// What it says; strings may hold `${…}` expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl Wait {
    pub(super) fn fault(&self) -> Option<&'static str> {
        let kinds = [
            self.duration_ms.is_some(),
            self.until.is_some(),
            self.event.is_some(),
            self.token.is_some(),
        ];
        if kinds.into_iter().filter(|it| *it).count() != 1 {
            return Some("a wait has one of `durationMs`, `until`, `event` and `token`");
        }
        let for_time = self.duration_ms.is_some() || self.until.is_some();
        let bounded = self.timeout_ms.is_some() || self.on_timeout.is_some();
        (for_time && bounded)
            .then_some("`timeoutMs` and `onTimeout` are for waits for an `event` or a `token`")
    }
}

/// A number, or a text that holds an expression.
fn milliseconds(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "description": "So many milliseconds, or an expression that gives them.",
        "type": ["integer", "string"], "minimum": 0, "maximum": MAX_DURATION_MS,
    })
}
