//! The step type `log`.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use engine::attempt::{LogLevel, LogLine, Outcome};
use engine::failure::ErrorCode;
use serde_json::{Map, Value, json};

use crate::run;

async fn line(config: Value) -> LogLine {
    let report = run("log", config).await;
    assert_eq!(report.outcome, Outcome::Succeeded(Value::Null));
    let [line] = <[LogLine; 1]>::try_from(report.logs).unwrap();
    line
}

#[tokio::test]
async fn a_message_becomes_one_line_at_info_unless_it_says_otherwise() {
    let plain = line(json!({ "message": "hello" })).await;
    assert_eq!(
        plain,
        LogLine { level: LogLevel::Info, message: "hello".into(), fields: Map::new() }
    );
    let full = line(json!({ "message": "m", "level": "error", "fields": { "order": 7 } })).await;
    assert_eq!((full.level, &full.fields["order"]), (LogLevel::Error, &json!(7)));
}

#[tokio::test]
async fn a_message_that_is_not_a_string_is_written_as_json() {
    assert_eq!(line(json!({ "message": { "a": 1 } })).await.message, r#"{"a":1}"#);
    assert_eq!(line(json!({ "message": 5 })).await.message, "5");
}

#[tokio::test]
async fn a_message_is_cut_after_16_kib_and_says_so() {
    for (bytes, cut) in [(16 * 1024 - 1, false), (16 * 1024, false), (16 * 1024 + 1, true)] {
        let message = line(json!({ "message": "x".repeat(bytes) })).await.message;
        assert_eq!(message.ends_with("… [cut]"), cut, "{bytes}");
        assert_eq!(message.len(), bytes.min(16 * 1024), "{bytes}");
    }
    // Characters of two bytes are never split.
    let message = line(json!({ "message": "ü".repeat(9000) })).await.message;
    assert!(message.len() <= 16 * 1024 && message.ends_with("ü… [cut]"));
}

#[tokio::test]
async fn a_config_without_a_message_is_invalid_and_logs_nothing() {
    let report = run("log", json!({ "level": "info" })).await;
    let failure = report.outcome.failure().unwrap();
    assert_eq!(failure.code, ErrorCode::ConfigInvalid);
    assert!(failure.message.contains("`message`"), "{}", failure.message);
    assert!(report.logs.is_empty());
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The process's log. It is there for all tests: a log that comes and goes with one of them races with what the others do to
/// the caches of the logging library.
static LOG: LazyLock<Shared> = LazyLock::new(|| {
    let written = Shared::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    written
});

/// What the worker's own log has of a message that no other test logs.
async fn traced(config: Value) -> String {
    let log = LOG.clone();
    let message = config["message"].as_str().unwrap().to_owned();
    line(config).await;
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    written.lines().find(|it| it.contains(&message)).unwrap().to_owned()
}

#[tokio::test]
async fn the_worker_s_log_has_the_fields_that_there_are() {
    let with = traced(json!({ "message": "paid with", "fields": { "order": 7 } })).await;
    assert!(with.contains(r#"fields="{\"order\":7}""#), "{with}");
    for config in
        [json!({ "message": "paid without" }), json!({ "message": "paid empty", "fields": {} })]
    {
        let without = traced(config).await;
        assert!(without.contains("step_id=\"charge\""), "{without}");
        assert!(!without.contains("fields"), "{without}");
    }
}
