//! Claims what there is room for, in batches, and starts a driver for each execution.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
            match self.store.claim(self.tenure.worker_id, limit).await {
                Ok(claimed) => {
                    let full = claimed.len() == wanted;
                    may_stray |= !claimed.is_empty();
                    self.start_drivers(claimed);
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
