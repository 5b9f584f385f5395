//! The step type `log`: one line in the execution's log. Its output is null.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use egress::Secrets;
use engine::attempt::{AttemptContext, AttemptReport, LogLevel, LogLine, Outcome};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{NativeStep, read_config};

/// A longer message is cut: a log line must never be the reason that a workflow fails.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Ends a message that was cut; within the limit.
const CUT_MARK: &str = "… [cut]";

/// One line for the execution's log.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogConfig {
    /// How serious it is.
    #[serde(default)]
    level: LogLevel,
    /// The text; cut after 16 KiB. A value that is not a string is written as JSON.
    message: Value,
    /// Structured facts beside the text.
    #[serde(default)]
    fields: Map<String, Value>,
}

/// Writes one line.
pub(crate) struct Log;

#[async_trait]
impl NativeStep for Log {
    fn step_type(&self) -> &'static str {
        "log"
    }

    fn config_schema(&self) -> Value {
        schema_for!(LogConfig).into()
    }

    async fn run(
        &self,
        attempt: &AttemptContext,
        _: Instant,
        config: Value,
        _: Arc<dyn Secrets>,
    ) -> AttemptReport {
        let config: LogConfig = match read_config(config) {
            Ok(config) => config,
            Err(failure) => return AttemptReport::of(Err(failure)),
        };
        let line =
            LogLine { level: config.level, message: text(config.message), fields: config.fields };
        trace(attempt, &line);
        AttemptReport { outcome: Outcome::Succeeded(Value::Null), logs: vec![line] }
    }
}

fn text(message: Value) -> String {
    let text = match message {
        Value::String(text) => text,
        other => other.to_string(),
    };
    if text.len() <= MAX_MESSAGE_BYTES {
        return text;
    }
    let kept = text.floor_char_boundary(MAX_MESSAGE_BYTES - CUT_MARK.len());
    format!("{}{CUT_MARK}", &text[..kept])
}

/// The same line in the worker's own log. The level of an event is fixed where it stands, hence the five.
fn trace(attempt: &AttemptContext, line: &LogLine) {
    // What is not there leaves no trace.
    let fields =
        (!line.fields.is_empty()).then(|| serde_json::to_string(&line.fields).unwrap_or_default());
    macro_rules! event {
        ($level:ident) => {
            tracing::event!(
                tracing::Level::$level,
                execution_id = %attempt.execution_id,
                step_id = attempt.step_id,
                attempt = attempt.attempt,
                fields = fields.as_deref(),
                "{}", line.message
            )
        };
    }
    match line.level {
        LogLevel::Trace => event!(TRACE),
        LogLevel::Debug => event!(DEBUG),
        LogLevel::Info => event!(INFO),
        LogLevel::Warn => event!(WARN),
        LogLevel::Error => event!(ERROR),
    }
}
