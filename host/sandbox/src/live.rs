//! What can be seen of an attempt while it is under way: its newest note, and its log so far.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use engine::{attempt::LogLine, cut::cut, suspension::MAX_NOTE_BYTES};
use tokio::sync::Notify;

use crate::{config::LogLimits, log_buffer::LogBuffer};

/// A window on an attempt. Guests never wait for who looks through it.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    note: Mutex<Option<String>>,
    log: OnceLock<LogBuffer>,
    changed: Arc<Notify>,
}

impl Live {
    pub(crate) fn note(&self, text: &str) {
        let text = cut(text, MAX_NOTE_BYTES).into_owned();
        *self.0.note.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        self.0.changed.notify_one();
    }

    /// The attempt's log, shown from now on. A window is of one attempt: the log of a second one would not be shown.
    pub(crate) fn log(&self, limits: LogLimits) -> LogBuffer {
        let log = LogBuffer::new(limits, Arc::clone(&self.0.changed));
        self.0.log.get_or_init(|| log.clone());
        log
    }

    /// Waits until there is something to see that was not there at the last look. Cancel safe.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The newest note, if there is one since the last look.
    pub fn take_note(&self) -> Option<String> {
        self.0.note.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The log so far, if it has more lines than that.
    pub fn log_beyond(&self, lines: usize) -> Option<Vec<LogLine>> {
        self.0.log.get()?.beyond(lines)
    }
}
