//! Drives one leased execution: transition, journal, then what the core wished for, over and over, until the
//! execution ends, waits for long, or the lease turns out to be gone.

mod inbox;
mod showing;
mod spans;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use engine::attempt::{AttemptContext, LogLine, Outcome};
use engine::machine::{self, Command, Event, Execution, Family, StartAttempt, Transition};
use engine::placeholder::Placeholders;
use store::Store;
use store::journal::{Disposition, KinAct, Write, Written};
use store::leases::Claimed;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use traces::Traces;
use uuid::Uuid;

use crate::attempts::{Assignment, Attempts};
use crate::clock::DatabaseClock;
use crate::endings::Endings;
use crate::glimpse::Glimpse;
use crate::intake::Intake;
use crate::kin::{Kin, Origin};
use crate::metrics::WorkerMetrics;
use crate::tenure::{Holding, Tenure};
use showing::LOOK_EVERY;

/// An attempt that takes longer than this is worth a write that says so.
const WORTH_SHOWING: Duration = Duration::from_millis(50);
/// How long an execution under lease waits for a slot before it is left to others.
const SLOT_PATIENCE: Duration = Duration::from_secs(1);

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

    /// Makes a transition durable. Returns what to do then; nothing if the execution has left our hands.
    async fn commit(
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

    fn write_of(&mut self, disposition: Disposition, state: machine::State) -> Write {
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

    /// A slot for an attempt; `None` if the worker begins nothing new, or has none to give for too long.
    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        if self.shared.draining.is_cancelled() {
            return None;
        }
        let slots = Arc::clone(&self.shared.intake.slots);
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            return Some(slot);
        }
        tokio::select! {
            slot = tokio::time::timeout(SLOT_PATIENCE, slots.acquire_owned()) => slot.ok()?.ok(),
            () = self.shared.draining.cancelled() => None,
        }
    }

    /// Leaves an attempt that was wished for to somebody else.
    async fn yield_attempt(&mut self) -> anyhow::Result<Next> {
        self.crowded_out = true;
        if self.stored.is_some() {
            self.leave_as_is().await?;
            return Ok(Next::Leave);
        }
        Ok(Next::Event(Event::AttemptYielded, Vec::new()))
    }

    /// Runs an attempt until it ends or something ends it.
    async fn attempt(
        &mut self,
        start: StartAttempt,
        slot: OwnedSemaphorePermit,
    ) -> anyhow::Result<Next> {
        let number = start.attempt;
        let context = AttemptContext {
            execution_id: self.execution.root_id(),
            items: self.execution.items(),
            namespace: "default".to_owned(),
            workflow: self.execution.plan.workflow.clone(),
            step_id: start.step.step.id.clone(),
            attempt: number,
            trace: self.execution.attempt_trace(&start.step.step.id, number),
        };
        let shared = Arc::clone(&self.shared);
        let placeholders = Placeholders::of(self.execution.callbacks, context.execution_id);
        let glimpse = Glimpse::default();
        let attempt = shared.attempts.run(Assignment {
            namespace_id: self.origin.namespace_id,
            context,
            start,
            placeholders,
            glimpse: glimpse.clone(),
        });
        tokio::pin!(attempt);
        let mut next_look = Instant::now() + LOOK_EVERY;
        let deadline = self.sleep_to_deadline();
        tokio::pin!(deadline);
        let worth_showing = tokio::time::sleep(WORTH_SHOWING);
        tokio::pin!(worth_showing);
        loop {
            let news = Arc::clone(&self.holding.news);
            tokio::select! {
                report = &mut attempt => {
                    drop(slot);
                    shared.intake.attempt_ended();
                    return Ok(Next::Event(ended(number, report.outcome), report.logs));
                }
                () = changed_after(next_look, &glimpse) => {
                    next_look = Instant::now() + LOOK_EVERY;
                    Box::pin(self.show(&glimpse)).await?;
                }
                () = &mut worth_showing, if self.stored.is_some() => self.write_down().await?,
                () = &mut deadline => return Ok(Next::Event(Event::DeadlinePassed, glimpse.log())),
                () = self.shared.abort.cancelled() => return Ok(Next::Event(Event::LeaseExpired, glimpse.log())),
                () = news.notified() => {
                    self.posted = self.posted.max(self.seen + 1);
                    match self.read_inbox().await.context("the inbox could not be read")? {
                        Some(event) if event.spares_the_attempt() => self.take_in(event).await?,
                        Some(event) => return Ok(Next::Event(event, glimpse.log())),
                        None => {}
                    }
                }
            }
        }
    }

    /// Takes a fact in beside an attempt. If the lease is gone, the attempt's result will be refused as well.
    async fn take_in(&mut self, event: Event) -> anyhow::Result<()> {
        let now = self.shared.clock.now();
        if let Ok(transition) = machine::transition(&self.execution, event, now) {
            self.commit(transition, Vec::new()).await?;
        }
        Ok(())
    }

    /// Makes the state durable that an attempt was begun from. If the lease is gone, the attempt's result will be
    /// refused as well, and kept as late.
    async fn write_down(&mut self) -> anyhow::Result<()> {
        self.record_start();
        self.stored = None;
        let write = self.write_of(Disposition::Keep, self.execution.state.clone());
        self.tenure.journal.write(write).await?;
        Ok(())
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

    fn sleep_to_deadline(&self) -> impl Future<Output = ()> + use<> {
        let left =
            self.execution.state.deadline_at.map(|deadline| self.shared.clock.until(deadline));
        async move {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        }
    }
}

/// The fact that an attempt ends with.
fn ended(attempt: u32, outcome: Outcome) -> Event {
    match outcome {
        Outcome::Succeeded(output) => Event::AttemptSucceeded { attempt, output },
        Outcome::Failed(failure) => {
            Event::AttemptFailed { attempt, failure, chance: rand::random() }
        }
        Outcome::Suspended(suspension) => Event::AttemptSuspended { attempt, suspension },
    }
}

/// Waits for the next look, and then for something to see: in this order, so that nothing is missed if it is dropped.
async fn changed_after(look: Instant, glimpse: &Glimpse) {
    tokio::time::sleep_until(look).await;
    glimpse.changed().await;
}
