//! What is to be seen of an attempt before it ends: notes and log lines of those that take long.

use std::time::Duration;

use engine::machine::{self, AttemptRecord, Event};
use store::journal::{Disposition, KinAct, Write};

use super::Drive;
use crate::glimpse::Glimpse;

/// How often the store hears of an attempt under way, at most; and after how long for the first time. Few attempts take so long.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Drive {
    /// Writes down what is new. If the lease is gone, the attempt's result will be refused as well.
    pub(super) async fn show(&mut self, glimpse: &Glimpse) -> anyhow::Result<()> {
        let mut kin = Vec::new();
        if let Some(lines) = glimpse.log_beyond(self.shown.unwrap_or(0)) {
            self.shown = Some(lines.len());
            kin.extend(self.log(lines));
        }
        let noted = glimpse.take_note().and_then(|note| self.noted(note));
        if kin.is_empty() && noted.is_none() {
            return Ok(());
        }
        let state = noted.unwrap_or_else(|| self.execution.state.clone());
        self.record_start();
        self.stored = None;
        let write = Write { kin, ..self.write_of(Disposition::Keep, state.clone()) };
        self.tenure.journal.write(write).await?;
        self.execution.state = state;
        Ok(())
    }

    fn noted(&self, note: String) -> Option<machine::State> {
        let now = self.shared.clock.now();
        let noted = machine::transition(&self.execution, Event::ProgressNoted { note }, now);
        noted.ok().map(|transition| transition.state)
    }

    fn log(&self, lines: Vec<engine::attempt::LogLine>) -> Option<KinAct> {
        let state = &self.execution.state;
        let cursor = state.cursor.as_ref()?;
        Some(KinAct::ShowLog {
            sequence: state.records + 1,
            step_id: cursor.step.clone(),
            attempt: cursor.attempt,
            lines,
        })
    }

    /// The attempt that has shown its log is in the history now.
    pub(super) fn hide_log(&mut self, records: &[AttemptRecord]) -> Option<KinAct> {
        if records.is_empty() {
            return None;
        }
        self.shown.take().map(|_| KinAct::HideLog)
    }
}
