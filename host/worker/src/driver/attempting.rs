//! Makes attempts: a slot, the attempt, and whatever happens to the execution meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use engine::attempt::{AttemptContext, Outcome};
use engine::machine::{self, Event, StartAttempt};
use engine::placeholder::Placeholders;
use store::DEFAULT_NAMESPACE_NAME;
use store::journal::Disposition;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::showing::LOOK_EVERY;
use super::{Drive, Next};
use crate::attempts::Assignment;
use crate::glimpse::Glimpse;

/// An attempt that takes longer than this is worth a write that says so.
const WORTH_SHOWING: Duration = Duration::from_millis(50);
/// How long an execution under lease waits for a slot before it is left to others.
const SLOT_PATIENCE: Duration = Duration::from_secs(1);

impl Drive {
    /// A slot for an attempt; `None` if the worker begins nothing new, or has none to give for too long.
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
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
    pub(super) async fn yield_attempt(&mut self) -> anyhow::Result<Next> {
        self.crowded_out = true;
        if self.stored.is_some() {
            self.leave_as_is().await?;
            return Ok(Next::Leave);
        }
        Ok(Next::Event(Event::AttemptYielded, Vec::new()))
    }

    /// Runs an attempt until it ends or something ends it.
    pub(super) async fn attempt(
        &mut self,
        start: StartAttempt,
        slot: OwnedSemaphorePermit,
    ) -> anyhow::Result<Next> {
        let number = start.attempt;
        let context = AttemptContext {
            execution_id: self.execution.root_id(),
            items: self.execution.items(),
            namespace: DEFAULT_NAMESPACE_NAME.to_owned(),
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
    pub(super) async fn take_in(&mut self, event: Event) -> anyhow::Result<()> {
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
