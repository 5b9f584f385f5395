//! Claims what there is room for, in batches, and starts a driver for each execution.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::Store;
use store::leases::Claimed;
use store::wakeups::Wakeups;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::driver::{Driver, Shared};
use crate::tenure::Tenure;

/// The most executions of one claim: what one statement reads stays small.
const MAX_BATCH: usize = 200;
/// The shortest wait after a claim that found nothing: what is due may be in somebody else's hands.
const SOONEST: Duration = Duration::from_millis(5);
/// The wait after a claim that failed.
const CLAIM_AGAIN: Duration = Duration::from_millis(250);

pub(crate) struct Claimer {
    pub(crate) store: Store,
    pub(crate) wakeups: Wakeups,
    pub(crate) tenure: Tenure,
    pub(crate) shared: Arc<Shared>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) drivers: TaskTracker,
    pub(crate) poll: Duration,
    /// How often to give back what no driver holds.
    pub(crate) reconcile: Duration,
}

impl Claimer {
    /// Claims until dropped.
    pub(crate) async fn run(&self) {
        let mut reconciled = Instant::now();
        loop {
            // Listen before looking: what arrives in between is not missed.
            let arrives = self.wakeups.work_arrives();
            tokio::pin!(arrives);
            arrives.as_mut().enable();
            let permits = self.take_room().await;
            if reconciled.elapsed() >= self.reconcile {
                self.give_back_strays().await;
                reconciled = Instant::now();
            }
            let wanted = permits.len();
            match self
                .store
                .claim(self.tenure.worker_id, i64::try_from(wanted).unwrap_or(i64::MAX))
                .await
            {
                Ok(claimed) => {
                    let full = claimed.len() == wanted;
                    self.start_drivers(claimed, permits);
                    if full {
                        continue;
                    }
                    let idle = self.time_to_next().await;
                    tokio::select! {
                        () = arrives => {}
                        () = tokio::time::sleep(idle) => {}
                    }
                }
                Err(error) => {
                    drop(permits);
                    tracing::warn!(error = ?error, "claiming failed");
                    tokio::time::sleep(CLAIM_AGAIN).await;
                    // The claim may have been committed before its answer was lost.
                    self.give_back_strays().await;
                }
            }
        }
    }

    /// Waits for room for one execution, and takes as much more as there is.
    async fn take_room(&self) -> Vec<OwnedSemaphorePermit> {
        let first =
            Arc::clone(&self.room).acquire_owned().await.expect("the semaphore is never closed");
        let mut permits = vec![first];
        while permits.len() < MAX_BATCH
            && let Ok(permit) = Arc::clone(&self.room).try_acquire_owned()
        {
            permits.push(permit);
        }
        permits
    }

    fn start_drivers(&self, claimed: Vec<Claimed>, permits: Vec<OwnedSemaphorePermit>) {
        self.shared.metrics.claimed.inc_by(claimed.len() as u64);
        for (claimed, permit) in claimed.into_iter().zip(permits) {
            let driver = Driver::new(Arc::clone(&self.shared), self.tenure.clone(), claimed);
            self.drivers.spawn(async move {
                driver.run().await;
                drop(permit);
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

    async fn time_to_next(&self) -> Duration {
        match self.store.next_due().await {
            Ok(Some(due)) => self.shared.clock.until(due).clamp(SOONEST, self.poll.max(SOONEST)),
            Ok(None) | Err(_) => self.poll,
        }
    }
}
