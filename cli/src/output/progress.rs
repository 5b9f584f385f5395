//! Bars on standard error for what takes longer than a second. On a terminal only; gone when it is done.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

/// What ends sooner needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(120);

/// How far something is; shown from its second second on, until this is dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown_later: JoinHandle<()>,
}

impl Progress {
    /// Of so many things.
    pub(crate) fn of(total: u64, what: &str) -> Self {
        Self::start(total, what, "{msg} {bar:30} {pos}/{len} {eta}")
    }

    /// Of so many bytes.
    pub(crate) fn of_bytes(total: u64, what: &str) -> Self {
        Self::start(total, what, "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
    }

    /// Of something that does not say how far it is.
    pub(crate) fn unknown(what: &str) -> Self {
        Self::start(0, what, "{spinner} {msg} {elapsed}")
    }

    fn start(total: u64, what: &str, template: &str) -> Self {
        let style = ProgressStyle::with_template(template).expect("the templates are ours");
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_style(style);
        bar.set_message(what.to_owned());
        let later = bar.clone();
        let shown_later = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            later.set_draw_target(ProgressDrawTarget::stderr());
            later.enable_steady_tick(TICK);
        });
        Self { bar, shown_later }
    }

    /// So many of them are done.
    pub(crate) fn reach(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// What counts bytes while they go.
    pub(crate) fn counter(&self) -> impl Fn(u64) + Send + use<> {
        let bar = self.bar.clone();
        move |bytes| bar.inc(bytes)
    }

    /// What is being done now.
    pub(crate) fn say(&self, what: String) {
        self.bar.set_message(what);
    }

    /// Says something that stays, above what is drawn over.
    pub(crate) fn note(&self, text: &str) {
        self.bar.suspend(|| super::note(text));
    }

    /// What says so from elsewhere.
    pub(crate) fn sayer(&self) -> impl Fn(String) + Send + use<> {
        let bar = self.bar.clone();
        move |what| bar.set_message(what)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shown_later.abort();
        self.bar.finish_and_clear();
    }
}
