//! Claims what there is room for, in batches, and starts a driver for each execution.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use store::Store;
use store::leases::Claimed;
use store::wakeups::Wakeups;
use tokio_util::task::TaskTracker;

use crate::driver::{Driver, Shared};
use crate::intake::Meter;
use crate::tenure::Tenure;

/// The shortest wait after a claim that found nothing: what is due may be in somebody else's hands.
const SOONEST: Duration = Duration::from_millis(5);
/// How long to wait for news before the database is asked when the next execution falls due.
const QUIET: Duration = Duration::from_millis(20);
/// How often to look from the front of the queue, while full claims let the others begin where the last one ended.
const FROM_THE_FRONT: Duration = Duration::from_millis(500);
/// The wait after a claim that failed.
const CLAIM_AGAIN: Duration = Duration::from_millis(250);

pub(crate) struct Claimer {
    pub(crate) store: Store,
    pub(crate) wakeups: Wakeups,
    pub(crate) tenure: Tenure,
    pub(crate) shared: Arc<Shared>,
    pub(crate) drivers: TaskTracker,
    pub(crate) poll: Duration,
    /// How often to give back what no driver holds.
    pub(crate) reconcile: Duration,
}

impl Claimer {
    /// Claims until dropped.
    pub(crate) async fn run(&self) {
        let mut meter = Meter::new(Arc::clone(&self.shared.intake));
        // Only what was claimed since the last look, or held then, can have strayed.
        let (mut reconciled, mut may_stray) = (Instant::now(), false);
        let mut front = Front::default();
        loop {
            let wanted = meter.wanted().await;
            // Listen before looking: what arrives in between is not missed.
            let _attentive = self.wakeups.attentive();
            let arrives = self.wakeups.work_arrives();
            tokio::pin!(arrives);
            arrives.as_mut().enable();
            if may_stray && reconciled.elapsed() >= self.reconcile {
                may_stray = self.tenure.holds_any();
                self.give_back_strays().await;
                reconciled = Instant::now();
            }
            let limit = i64::try_from(wanted).unwrap_or(i64::MAX);
            match self.store.claim(self.tenure.worker_id, limit, front.begin()).await {
                Ok(claimed) => {
                    let full = claimed.len() == wanted;
                    may_stray |= !claimed.is_empty();
                    let all_seen = front.end(full, claimed.iter().map(|it| it.due_at).max());
                    self.start_drivers(claimed);
                    if !all_seen {
                        continue;
                    }
                    if full {
                        self.wakeups.more_work(wanted);
                    } else {
                        tokio::select! {
                            () = arrives => {}
                            () = self.until_due() => {}
                            () = tokio::time::sleep(self.reconcile) => {}
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(error = ?error, "claiming failed");
                    tokio::time::sleep(CLAIM_AGAIN).await;
                    // The claim may have been committed before its answer was lost.
                    self.give_back_strays().await;
                }
            }
        }
    }

    fn start_drivers(&self, claimed: Vec<Claimed>) {
        self.shared.metrics.claimed.inc_by(claimed.len() as u64);
        for claimed in claimed {
            let counted = self.shared.intake.drive();
            let driver = Driver::new(Arc::clone(&self.shared), self.tenure.clone(), claimed);
            self.drivers.spawn(async move {
                driver.run().await;
                drop(counted);
            });
        }
    }

    /// Gives back the leases that no driver holds: of claims whose answer was lost, of drivers that failed.
    /// Only the claimer claims, so nothing can be claimed and not yet held while this runs.
    async fn give_back_strays(&self) {
        match self.store.give_back_strays(self.tenure.worker_id, &self.tenure.leases()).await {
            Ok(0) => {}
            Ok(strays) => {
                tracing::warn!(executions = strays, "gave back leases that nothing drove");
            }
            Err(error) => tracing::debug!(error = ?error, "strays could not be given back"),
        }
    }

    /// Returns when something may have fallen due that nothing told of. While nothing is, that costs one small
    /// statement per poll.
    async fn until_due(&self) {
        tokio::time::sleep(QUIET).await;
        loop {
            let idle = match self.store.next_due().await {
                Ok(Some(due)) => self.shared.clock.until(due),
                Ok(None) | Err(_) => self.poll,
            };
            tokio::time::sleep(idle.clamp(SOONEST, self.poll.max(SOONEST))).await;
            if idle < self.poll {
                return;
            }
        }
    }
}

/// Where in the queue to begin looking. Others may have left something behind what was claimed last: what is locked is
/// passed over, and a claim may be rolled back. So the front is looked at again and again, and before any wait.
#[derive(Default)]
struct Front {
    from: Option<DateTime<Utc>>,
    looked: Option<Instant>,
}

impl Front {
    /// Where to begin; `None` is the front.
    fn begin(&mut self) -> Option<DateTime<Utc>> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= FROM_THE_FRONT) {
            self.from = None;
        }
        if self.from.is_none() {
            self.looked = Some(Instant::now());
        }
        self.from
    }

    /// Notes how a claim ended. False if there may be more that it did not look at.
    fn end(&mut self, full: bool, last: Option<DateTime<Utc>>) -> bool {
        let began_at_the_front = self.from.is_none();
        self.from = last.filter(|_| full);
        full || began_at_the_front
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_claims_begin_where_the_last_one_ended_and_others_look_at_all() {
        let (mut front, at) = (Front::default(), DateTime::<Utc>::UNIX_EPOCH);
        assert_eq!(front.begin(), None);
        assert!(front.end(true, Some(at)));
        assert_eq!(front.begin(), Some(at));
        assert!(!front.end(false, Some(at)), "what came before may be due");
        assert_eq!(front.begin(), None);
        assert!(front.end(false, None));
        assert_eq!(front.begin(), None);
    }

    #[test]
    fn the_front_is_looked_at_again_and_again() {
        let mut front = Front { from: Some(DateTime::UNIX_EPOCH), looked: None };
        assert_eq!(front.begin(), None);
        let long_ago = Instant::now().checked_sub(FROM_THE_FRONT);
        let mut front = Front { from: Some(DateTime::UNIX_EPOCH), looked: long_ago };
        assert_eq!(front.begin(), None);
    }
}
