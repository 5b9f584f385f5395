//! Drives one leased execution: transition, journal, then what the core wished for, over and over, until the
//! execution ends, waits for long, or the lease turns out to be gone.

mod attempting;
mod committing;
mod inbox;
mod showing;
mod spans;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use engine::attempt::LogLine;
use engine::machine::{self, Command, Event, Execution, Transition};
use store::Store;
use store::journal::Disposition;
use store::leases::Claimed;
use tokio_util::sync::CancellationToken;
use traces::Traces;
use uuid::Uuid;

use crate::attempts::Attempts;
use crate::clock::DatabaseClock;
use crate::endings::Endings;
use crate::intake::Intake;
use crate::kin::{Kin, Origin};
use crate::metrics::WorkerMetrics;
use crate::tenure::{Holding, Tenure};

/// What all drivers of a worker share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) kin: Kin,
    pub(crate) attempts: Attempts,
    pub(crate) intake: Arc<Intake>,
    pub(crate) clock: DatabaseClock,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) endings: Endings,
    pub(crate) traces: Traces,
    pub(crate) short_wait: Duration,
    /// Begin nothing new.
    pub(crate) draining: CancellationToken,
    /// Stop what is under way.
    pub(crate) abort: CancellationToken,
}

/// What comes after a wish was carried out.
enum Next {
    /// A fact, and what the attempt that it is about has logged.
    Event(Event, Vec<LogLine>),
    /// Nothing: the execution is somebody else's, or nobody's, business now.
    Leave,
}

pub(crate) struct Driver {
    shared: Arc<Shared>,
    tenure: Tenure,
    holding: Holding,
    claimed: Claimed,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, tenure: Tenure, claimed: Claimed) -> Self {
        let holding = tenure.hold(claimed.execution_id, claimed.lease_epoch);
        Self { shared, tenure, holding, claimed }
    }

    /// Drives. What fails here is logged; the claimer gives the lease back.
    pub(crate) async fn run(self) {
        let (execution_id, worker_id) = (self.claimed.execution_id, self.tenure.worker_id);
        self.shared.metrics.driving.inc();
        let metrics = self.shared.metrics.clone();
        if let Err(error) = self.drive().await {
            tracing::error!(%execution_id, %worker_id, "driving failed: {error:#}");
        }
        metrics.driving.dec();
    }

    async fn drive(self) -> anyhow::Result<()> {
        let (shared, claimed) = (self.shared, self.claimed);
        let taken_up_at = shared.clock.now();
        let Claimed { lease_epoch, signals, lost, namespace_id, workflow_id, version, .. } =
            claimed;
        let family = claimed.kinship.as_ref().map(|kin| (kin.parent_id, kin.visit));
        let is_part = claimed.kinship.as_ref().is_some_and(|kin| kin.block.is_some());
        let execution = shared.kin.execution(claimed).await?;
        let mut drive = Drive {
            shared,
            tenure: self.tenure,
            holding: self.holding,
            execution,
            lease_epoch,
            origin: Origin { namespace_id, workflow_id, version },
            family,
            is_part,
            taken_up_at,
            lost,
            stored: None,
            crowded_out: false,
            shown: lost.then_some(0),
            posted: signals,
            seen: 0,
            consumed: Vec::new(),
        };
        drive.run().await
    }
}

/// A driver at work.
struct Drive {
    shared: Arc<Shared>,
    tenure: Tenure,
    holding: Holding,
    execution: Execution,
    lease_epoch: i64,
    origin: Origin,
    /// The family that it is counted in when it ends.
    family: Option<(Uuid, u32)>,
    /// It runs a block.
    is_part: bool,
    taken_up_at: DateTime<Utc>,
    /// The lease before this one was lost.
    lost: bool,
    /// The state as stored, while the one at hand is not: see [`Drive::begin_unwritten`].
    stored: Option<machine::State>,
    /// There was no slot for an attempt.
    crowded_out: bool,
    /// How many lines of the attempt's log are shown, if any may be, by us or by whoever had the lease before.
    shown: Option<usize>,
    /// Facts posted so far, as far as known; and how many of them had been posted at the last reading.
    posted: i32,
    seen: i32,
    /// Facts that the next write takes in.
    consumed: Vec<i64>,
}

impl Drive {
    async fn run(&mut self) -> anyhow::Result<()> {
        let mut next = self.take_up().await?;
        while let Next::Event(event, logs) = next {
            let now = self.shared.clock.now();
            let transition = match machine::transition(&self.execution, event, now) {
                Ok(transition) => transition,
                Err(rejection) => {
                    tracing::debug!(execution_id = %self.execution.id, %rejection, "a fact did not apply");
                    return self.leave_as_is().await;
                }
            };
            next = match self.commit(transition, logs).await? {
                Some(wish) => self.carry_out(wish).await?,
                None => Next::Leave,
            };
        }
        Ok(())
    }

    /// What the inbox says, or else what the state says.
    async fn take_up(&mut self) -> anyhow::Result<Next> {
        if let Some(event) = self.read_inbox().await? {
            return Ok(Next::Event(event, Vec::new()));
        }
        let now = self.shared.clock.now();
        let mut found = machine::on_claim(&self.execution.state, self.lost, now).into_iter();
        let Some(first) = found.next() else {
            // Whoever began to listen may not have come to look back.
            if self.lost {
                return Box::pin(self.look_back()).await;
            }
            self.leave_as_is().await?;
            return Ok(Next::Leave);
        };
        if !matches!(first, Event::Started) {
            return Ok(Next::Event(first, Vec::new()));
        }
        let Ok(transition) = machine::transition(&self.execution, first.clone(), now) else {
            return Ok(Next::Event(first, Vec::new()));
        };
        if !transition.only_begins() || !self.consumed.is_empty() {
            return Ok(Next::Event(first, Vec::new()));
        }
        let wish = self.begin_unwritten(transition);
        match (found.next(), wish) {
            (Some(then), _) => Ok(Next::Event(then, Vec::new())),
            (None, Some(wish)) => self.carry_out(wish).await,
            (None, None) => Ok(Next::Leave),
        }
    }

    /// Begins the first attempt on the strength of the lease alone. The claim was a commit, the state before it is
    /// stored, and whoever finds the lease lost derives the same again ([`machine::on_claim`]): one write less for
    /// every execution. An attempt that takes its time is written down after a moment, so that people see it.
    fn begin_unwritten(&mut self, transition: Transition) -> Option<Command> {
        self.stored = Some(std::mem::replace(&mut self.execution.state, transition.state));
        transition.commands.into_iter().next()
    }

    /// Gives the lease back without a change: nothing is due, or the execution has ended.
    async fn leave_as_is(&mut self) -> anyhow::Result<()> {
        let state = self.stored.take().unwrap_or_else(|| self.execution.state.clone());
        let disposition = if state.status.is_terminal() {
            Disposition::Drop
        } else {
            Disposition::Release(state.due_at().unwrap_or_else(|| self.shared.clock.now()))
        };
        let write = self.write_of(disposition, state);
        self.tenure.journal.write(write).await?;
        Ok(())
    }

    async fn carry_out(&mut self, wish: Command) -> anyhow::Result<Next> {
        if let Some(event) = self.read_inbox().await? {
            if !(event.spares_the_attempt() && matches!(wish, Command::StartAttempt(_))) {
                return Ok(Next::Event(event, Vec::new()));
            }
            // It has not begun, so it need not.
            self.take_in(event).await?;
            return Ok(Next::Event(Event::AttemptYielded, Vec::new()));
        }
        match wish {
            Command::StartAttempt(start) => match self.slot().await {
                Some(slot) => self.attempt(start, slot).await,
                None => self.yield_attempt().await,
            },
            Command::WakeAt(instant) => self.wait(instant).await,
            Command::Listen(_) => Box::pin(self.look_back()).await,
            Command::Record(_)
            | Command::StartChildren(_)
            | Command::TellChildren { .. }
            | Command::StopListening { .. }
            | Command::Consume(_)
            | Command::Emit { .. }
            | Command::FinishExecution { .. } => Ok(Next::Leave),
        }
    }

    /// Spends a short wait in memory.
    async fn wait(&mut self, instant: DateTime<Utc>) -> anyhow::Result<Next> {
        loop {
            let news = Arc::clone(&self.holding.news);
            tokio::select! {
                () = tokio::time::sleep(self.shared.clock.until(instant)) => {
                    // The sleep may end a moment early by the database's clock.
                    let now = self.shared.clock.now().max(instant);
                    let found = machine::on_claim(&self.execution.state, false, now).into_iter().next();
                    return Ok(found.map_or(Next::Leave, |event| Next::Event(event, Vec::new())));
                }
                () = self.shared.draining.cancelled() => {
                    self.leave_as_is().await?;
                    return Ok(Next::Leave);
                }
                () = news.notified() => {
                    self.posted = self.posted.max(self.seen + 1);
                    if let Some(event) = self.read_inbox().await? {
                        return Ok(Next::Event(event, Vec::new()));
                    }
                }
            }
        }
    }
}
