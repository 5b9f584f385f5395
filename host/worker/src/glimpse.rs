//! What a driver sees of an attempt under way, without secrets: its newest note, and its log so far.

use std::sync::{Arc, OnceLock};

use engine::attempt::LogLine;
use sandbox::Live;
use secrets::Holder;

/// A look at an attempt. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Glimpse {
    live: Live,
    /// Who knows the secrets that are not to be seen. Without one nothing is shown.
    holder: Arc<OnceLock<Arc<Holder>>>,
}

impl Glimpse {
    /// The window, for an attempt whose secrets the holder knows.
    pub(crate) fn through(&self, holder: &Arc<Holder>) -> Live {
        self.holder.get_or_init(|| Arc::clone(holder));
        self.live.clone()
    }

    /// Waits until there may be something new. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.live.changed().await;
    }

    /// The newest note since the last look.
    pub(crate) fn take_note(&self) -> Option<String> {
        let holder = self.holder.get()?;
        let mut note = self.live.take_note()?;
        holder.scrubber().text(&mut note);
        Some(note)
    }

    /// The log of an attempt that was cut off.
    pub(crate) fn log(&self) -> Vec<LogLine> {
        self.log_beyond(0).unwrap_or_default()
    }

    /// The log so far, if it has more lines than that.
    pub(crate) fn log_beyond(&self, lines: usize) -> Option<Vec<LogLine>> {
        let holder = self.holder.get()?;
        let mut log = self.live.log_beyond(lines)?;
        holder.scrubber().lines(&mut log);
        Some(log)
    }
}
