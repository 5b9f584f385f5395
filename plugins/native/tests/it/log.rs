//! The `log` step.

use engine::attempt::{AttemptReport, LogLevel};
use engine::failure::{ErrorCode, RetryAdvice};
use serde_json::{Value, json};
use stateflow_native::HttpSettings;

async fn log(config: Value) -> AttemptReport {
    super::run_with(HttpSettings::default(), "log", config).await
}

async fn message(message: Value) -> String {
    log(json!({ "message": message })).await.logs.remove(0).message
}

#[tokio::test]
async fn a_line_is_written_at_info_unless_the_config_says_otherwise() {
    let plain = log(json!({ "message": "hello" })).await;
    assert_eq!(plain.result, Ok(Value::Null));
    assert_eq!((plain.logs[0].level, plain.logs.len()), (LogLevel::Info, 1));
    let full = log(json!({ "level": "warn", "message": "low", "fields": { "left": 3 } })).await;
    assert_eq!(full.logs[0].level, LogLevel::Warn);
    assert_eq!(Value::from(full.logs[0].fields.clone()), json!({ "left": 3 }));
}

#[tokio::test]
async fn what_is_not_a_string_is_written_as_json() {
    assert_eq!(message(json!({ "b": [1, null], "a": "x" })).await, r#"{"b":[1,null],"a":"x"}"#);
    assert_eq!(message(json!(12.5)).await, "12.5");
    assert_eq!(message(Value::Null).await, "null");
}

#[tokio::test]
async fn a_message_is_cut_between_characters_when_it_is_over_sixteen_kibibytes() {
    let limit = 16 * 1024;
    for length in [limit - 1, limit] {
        assert_eq!(message("x".repeat(length).into()).await.len(), length);
    }
    let cut = message("x".repeat(limit + 1).into()).await;
    assert_eq!(cut, format!("{}… (truncated)", "x".repeat(limit)));
    let wide = message(format!("x{}", "é".repeat(limit)).into()).await;
    assert_eq!(wide, format!("x{}… (truncated)", "é".repeat(limit / 2 - 1)));
}

#[tokio::test]
async fn an_unknown_field_or_level_is_refused_for_good() {
    for config in [
        json!({ "message": "m", "colour": "red" }),
        json!({ "message": "m", "level": "loud" }),
        json!({ "level": "info" }),
    ] {
        let failure = log(config).await.result.unwrap_err();
        assert_eq!(failure.code, ErrorCode::ConfigInvalid);
        assert_eq!(failure.advice, RetryAdvice::Permanent);
    }
}
