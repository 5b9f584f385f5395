//! What keeps a worker's leases alive, and takes those of lost workers away.

use std::time::{Duration, Instant};

use store::Store;
use store::wakeups::{Wakeup, Wakeups};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::DatabaseClock;
use crate::metrics::WorkerMetrics;
use crate::tenure::Tenure;

/// Partitions are made this many weeks ahead; looked after at every start and every hour.
const WEEKS_AHEAD: i32 = 2;
const CHORES_EVERY: Duration = Duration::from_hours(1);

/// A blob whose sender went away is deleted so long after it was begun; no attempt takes as long.
const BLOB_PATIENCE: Duration = Duration::from_hours(24);

/// Renews a tenure's lease, and passes wake-ups on to its drivers.
pub(crate) struct Heartbeats {
    pub(crate) store: Store,
    pub(crate) wakeups: Wakeups,
    pub(crate) tenure: Tenure,
    pub(crate) clock: DatabaseClock,
    pub(crate) lease: Duration,
    /// The worker has ended.
    pub(crate) over: CancellationToken,
}

impl Heartbeats {
    /// Beats until the lease is lost or the worker has ended.
    pub(crate) async fn run(self) {
        let mut news = self.wakeups.subscribe();
        let mut beat = tokio::time::interval(self.lease / 3);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed = Instant::now();
        loop {
            tokio::select! {
                () = self.over.cancelled() => return,
                () = self.tenure.lost.cancelled() => return,
                _ = beat.tick() => self.renew(&mut renewed).await,
                news = news.recv() => match news {
                    Ok(Wakeup::Signalled(ids)) => self.tenure.ring(&ids),
                    Ok(Wakeup::Missed) | Err(RecvError::Lagged(_)) => self.look_into_inboxes().await,
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    async fn renew(&self, renewed: &mut Instant) {
        let sent = Instant::now();
        match self.store.heartbeat(self.tenure.worker_id, self.lease).await {
            Ok(Some(now)) => {
                self.clock.observe(now);
                *renewed = sent;
                self.look_into_inboxes().await;
            }
            Ok(None) => self.tenure.lost.cancel(),
            // Not known to be lost before the lease has lapsed by our own clock.
            Err(error) => {
                tracing::warn!(error = ?error, "a heartbeat failed");
                if renewed.elapsed() > self.lease {
                    self.tenure.lost.cancel();
                }
            }
        }
    }

    /// The fallback for signals that no notification told of.
    async fn look_into_inboxes(&self) {
        if !self.tenure.holds_any() {
            return;
        }
        match self.store.signalled(self.tenure.worker_id).await {
            Ok(ids) => self.tenure.ring(&ids),
            Err(error) => tracing::debug!(error = ?error, "the inboxes could not be looked into"),
        }
    }
}

/// Expires the leases of lost workers, makes the partitions of the weeks to come, and deletes what was begun and left. Never
/// returns.
pub(crate) async fn reap(store: &Store, metrics: &WorkerMetrics, every: Duration) {
    let mut chores_done: Option<Instant> = None;
    loop {
        match store.expire_leases().await {
            Ok(0) => {}
            Ok(expired) => {
                metrics.expired.inc_by(u64::try_from(expired).unwrap_or_default());
                tracing::warn!(executions = expired, "took the leases of lost workers");
            }
            Err(error) => tracing::debug!(error = ?error, "leases could not be expired"),
        }
        if chores_done.is_none_or(|made| made.elapsed() > CHORES_EVERY) {
            match store.ensure_partitions(WEEKS_AHEAD).await {
                Ok(_) => chores_done = Some(Instant::now()),
                Err(error) => tracing::warn!(error = ?error, "partitions could not be made"),
            }
            if let Err(error) = store.drop_old_minutes().await {
                tracing::debug!(error = ?error, "old minutes could not be deleted");
            }
            if let Err(error) = store.drop_old_answers().await {
                tracing::debug!(error = ?error, "old answers could not be deleted");
            }
            match store.drop_unfinished_blobs(BLOB_PATIENCE).await {
                Ok(0) => {}
                Ok(blobs) => tracing::info!(blobs, "deleted what was never finished"),
                Err(error) => {
                    tracing::debug!(error = ?error, "unfinished blobs could not be deleted");
                }
            }
        }
        tokio::time::sleep(every).await;
    }
}
