//! What one attempt logged, within its limits. A flood is cut and counted, never an error and never
//! a wait.

use std::sync::{Arc, Mutex, PoisonError};

use engine::attempt::{LogLevel, LogLine};
use engine::cut::cut;
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::config::LogLimits;

/// Receipts of one attempt. Requests that are let out are bounded by the grant; those that are denied by this.
const MAX_RECEIPTS: usize = 100;

/// The log of one attempt, shared by its host functions, its stderr and its supervisor.
#[derive(Clone, Debug)]
pub(crate) struct LogBuffer {
    inner: Arc<Mutex<Inner>>,
    /// Told of every line.
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct Inner {
    limits: LogLimits,
    lines: Vec<LogLine>,
    bytes: usize,
    /// Lines that the guest wrote; the others are the host's.
    own: usize,
    dropped: u64,
}

impl LogBuffer {
    pub(crate) fn new(limits: LogLimits, changed: Arc<Notify>) -> Self {
        let inner = Inner { limits, lines: Vec::new(), bytes: 0, own: 0, dropped: 0 };
        Self { inner: Arc::new(Mutex::new(inner)), changed }
    }

    /// The longest line that is kept, for those who collect one from pieces.
    pub(crate) fn line_bytes(&self) -> usize {
        self.with(|inner| inner.limits.line_bytes)
    }

    pub(crate) fn push(&self, level: LogLevel, message: &str, fields: Vec<(String, String)>) {
        self.with(|inner| inner.push(level, message, fields));
        self.changed.notify_one();
    }

    /// What the host has to say of a request. Beside the guest's own lines, so that no flood of them pushes it out.
    pub(crate) fn receipt(&self, level: LogLevel, message: &str, facts: Value) {
        let fields = Map::from_iter([("egress".to_owned(), facts)]);
        self.with(|inner| {
            // Hosts and methods are the guest's words.
            let message = cut(message, inner.limits.line_bytes).into_owned();
            if inner.lines.len() - inner.own >= MAX_RECEIPTS {
                inner.dropped += 1;
                return;
            }
            inner.lines.push(LogLine { level, message, fields });
        });
        self.changed.notify_one();
    }

    /// The lines so far, if they are more than that.
    pub(crate) fn beyond(&self, lines: usize) -> Option<Vec<LogLine>> {
        self.with(|inner| (inner.lines.len() > lines).then(|| inner.lines.clone()))
    }

    /// How many lines were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.with(|inner| inner.dropped)
    }

    /// The last of what was logged, for the message of a failure.
    pub(crate) fn tail(&self, lines: usize) -> String {
        self.with(|inner| {
            let from = inner.lines.len().saturating_sub(lines);
            let tail: Vec<&str> =
                inner.lines[from..].iter().map(|line| line.message.as_str()).collect();
            tail.join("\n")
        })
    }

    /// Takes the lines out, with a last one that says how many are missing.
    pub(crate) fn finish(&self) -> Vec<LogLine> {
        self.with(|inner| {
            let mut lines = std::mem::take(&mut inner.lines);
            if inner.dropped > 0 {
                let fields = Map::from_iter([("dropped".to_owned(), Value::from(inner.dropped))]);
                let message = format!(
                    "{} more log lines were dropped: the limit is {} lines and {} bytes",
                    inner.dropped, inner.limits.lines, inner.limits.total_bytes
                );
                lines.push(LogLine { level: LogLevel::Warn, message, fields });
            }
            lines
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Inner) -> R) -> R {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn push(&mut self, level: LogLevel, message: &str, fields: Vec<(String, String)>) {
        if self.own >= self.limits.lines || self.bytes >= self.limits.total_bytes {
            self.dropped += 1;
            return;
        }
        let room = self.limits.line_bytes.min(self.limits.total_bytes - self.bytes);
        let kept = cut(message, room).into_owned();
        let mut truncated = message.len() > room;
        let mut used = kept.len();
        let mut map = Map::new();
        for (key, value) in fields {
            let size = key.len() + value.len();
            if used + size > room {
                truncated = true;
                break;
            }
            used += size;
            map.insert(key, Value::String(value));
        }
        if truncated {
            map.insert("truncated".into(), Value::Bool(true));
        }
        // An empty line costs something too, or a flood of them would be limited by their number
        // alone.
        self.bytes += used.max(1);
        self.own += 1;
        self.lines.push(LogLine { level, message: kept, fields: map });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(lines: usize, line_bytes: usize, total_bytes: usize) -> LogBuffer {
        LogBuffer::new(LogLimits { lines, line_bytes, total_bytes }, Arc::default())
    }

    #[test]
    fn lines_over_the_limit_are_counted_in_a_last_line() {
        let buffer = buffer(2, 10, 100);
        for n in 0..5 {
            buffer.push(LogLevel::Info, &n.to_string(), vec![]);
        }
        let lines = buffer.finish();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2].fields["dropped"], 3);
    }

    #[test]
    fn receipts_have_room_of_their_own_and_a_most() {
        let buffer = buffer(1, 10, 100);
        buffer.push(LogLevel::Info, "first", vec![]);
        buffer.push(LogLevel::Info, "second", vec![]);
        for _ in 0..=MAX_RECEIPTS {
            buffer.receipt(LogLevel::Debug, "GET", Value::Null);
        }
        let lines = buffer.finish();
        assert_eq!(lines.len(), 1 + MAX_RECEIPTS + 1);
        assert_eq!(lines.last().unwrap().fields["dropped"], 2);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let buffer = buffer(2, 6, 100);
        buffer.push(LogLevel::Info, "abcdeä", vec![]);
        let lines = buffer.finish();
        assert_eq!(lines[0].message, "abc…");
        assert_eq!(lines[0].fields["truncated"], true);
    }

    #[test]
    fn fields_count_as_part_of_the_line() {
        let buffer = buffer(2, 6, 100);
        let fields = vec![("k".into(), "v".into()), ("key".into(), "value".into())];
        buffer.push(LogLevel::Info, "abcd", fields);
        let line = buffer.finish().remove(0);
        assert_eq!(line.fields["k"], "v");
        assert!(!line.fields.contains_key("key"));
    }

    #[test]
    fn the_total_holds_over_all_lines() {
        let buffer = buffer(100, 10, 15);
        for _ in 0..3 {
            buffer.push(LogLevel::Info, "0123456789", vec![]);
        }
        let lines = buffer.finish();
        assert_eq!(lines[1].message, "01…");
        assert_eq!(lines[2].fields["dropped"], 1);
    }
}
