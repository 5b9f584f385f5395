//! Makes transitions durable: one write per transition, and what it brings along for others.

use chrono::{DateTime, Utc};
use engine::attempt::LogLine;
use engine::machine::{self, Command, Family, Transition};
use store::journal::{Disposition, KinAct, Write, Written};

use super::Drive;

impl Drive {
    /// Makes a transition durable. Returns what to do then; nothing if the execution has left our hands.
    pub(super) async fn commit(
        &mut self,
        transition: Transition,
        logs: Vec<LogLine>,
    ) -> anyhow::Result<Option<Command>> {
        let mut records = Vec::new();
        let mut disposition = Disposition::Keep;
        let (mut wish, mut ended) = (None, None);
        let mut kin = Vec::new();
        let namespace_id = self.origin.namespace_id;
        for command in transition.commands {
            match command {
                Command::Record(record) => records.push(record),
                Command::FinishExecution { status, output, failure } => {
                    ended = Some((status, failure.as_ref().map(|failure| failure.code)));
                    disposition = Disposition::Finish { output, failure };
                }
                Command::StartChildren(family) => {
                    kin.push(Box::pin(self.begin(*family, &transition.state)).await?);
                }
                Command::TellChildren { visit, fact } => kin.push(KinAct::Tell { visit, fact }),
                Command::StopListening { visit, by } => {
                    kin.push(KinAct::StopListening { visit, by });
                }
                Command::Consume(id) => kin.push(KinAct::Consume(id)),
                Command::Emit { id, name, data } => {
                    let trace = self.execution.trace();
                    kin.push(KinAct::Emit { namespace_id, id, name, data, trace });
                }
                Command::Listen(subscription) => {
                    kin.push(KinAct::Listen { namespace_id, subscription: subscription.clone() });
                    wish = Some(Command::Listen(subscription));
                }
                Command::WakeAt(instant) if self.waits_in_queue(&transition.state, instant) => {
                    disposition = Disposition::Release(instant);
                }
                other => wish = Some(other),
            }
        }
        kin.extend(self.hide_log(&records));
        let spans = self.spans(&transition.state, &records, ended);
        if matches!(wish, Some(Command::Listen(_))) {
            // It keeps the lease until it has looked back.
            disposition = Disposition::Keep;
        }
        let write =
            Write { records, logs, kin, ..self.write_of(disposition, transition.state.clone()) };
        match self.tenure.journal.write(write).await? {
            Written::Durable { signals } => {
                self.posted = self.posted.max(signals);
                self.execution.state = transition.state;
                self.stored = None;
                self.record(spans);
                if let Some((status, code)) = ended {
                    self.shared.endings.count(self.shared.clock.now(), status, code, self.is_part);
                }
                Ok(wish)
            }
            Written::Refused => {
                self.shared.metrics.refused.inc();
                tracing::warn!(execution_id = %self.execution.id, "the lease was gone; the result is kept as late");
                Ok(None)
            }
        }
    }

    pub(super) fn write_of(&mut self, disposition: Disposition, state: machine::State) -> Write {
        Write {
            execution_id: self.execution.id,
            lease_epoch: self.lease_epoch,
            state,
            disposition,
            taken_up_at: self.taken_up_at,
            records: Vec::new(),
            logs: Vec::new(),
            consumed: std::mem::take(&mut self.consumed),
            seen_signals: self.seen,
            family: self.family,
            is_part: self.is_part,
            kin: Vec::new(),
        }
    }

    /// A family that the next write begins.
    async fn begin(&self, family: Family, state: &machine::State) -> anyhow::Result<KinAct> {
        let now = self.shared.clock.now();
        let begun_at = state.cursor.as_ref().map_or(now, |cursor| cursor.started_at);
        self.shared.kin.begin(&self.origin, family, now, begun_at).await
    }

    fn waits_in_queue(&self, state: &machine::State, instant: DateTime<Utc>) -> bool {
        let for_others = state.cursor.as_ref().is_some_and(|cursor| cursor.awaited.is_some());
        for_others
            || self.crowded_out
            || self.shared.draining.is_cancelled()
            || self.shared.clock.until(instant) > self.shared.short_wait
    }
}
