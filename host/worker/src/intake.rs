//! How much to claim: enough to keep every attempt slot busy, and no more than will be begun within a moment.
//!
//! An execution under lease is not an attempt under way: most of a short one's life it waits for a commit. So leases
//! are taken ahead of free slots, by as many as the worker has lately ended attempts in [`AHEAD`]. Where attempts are
//! long, that is none, and what is due is left to whoever has a free slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

/// How far ahead leases are taken.
const AHEAD: Duration = Duration::from_millis(200);
/// The most leases ahead of the slots: what a lost worker gives back, and what its memory holds, stays bounded.
const MAX_AHEAD: usize = 2_000;
/// The most executions of one claim: what one statement reads stays small.
const MAX_BATCH: usize = 500;
/// The shortest time that a rate is measured over.
const MEASURED_OVER: Duration = Duration::from_millis(20);

/// Counts what a worker drives.
pub(crate) struct Intake {
    concurrency: usize,
    /// One per attempt that may be under way.
    pub(crate) slots: Arc<Semaphore>,
    driven: AtomicUsize,
    attempted: AtomicU64,
    freed: Notify,
}

/// An execution under lease; it is counted until this is dropped.
pub(crate) struct Driven(Arc<Intake>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.driven.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

/// The claimer's view: how fast attempts end.
pub(crate) struct Meter {
    intake: Arc<Intake>,
    since: Instant,
    attempted: u64,
    /// Attempts per second, lately.
    rate: f64,
}

impl Intake {
    pub(crate) fn new(concurrency: usize) -> Self {
        Self {
            concurrency,
            slots: Arc::new(Semaphore::new(concurrency)),
            driven: AtomicUsize::new(0),
            attempted: AtomicU64::new(0),
            freed: Notify::new(),
        }
    }

    /// Counts an execution in.
    pub(crate) fn drive(self: &Arc<Self>) -> Driven {
        self.driven.fetch_add(1, Ordering::AcqRel);
        Driven(Arc::clone(self))
    }

    /// An attempt has ended.
    pub(crate) fn attempt_ended(&self) {
        self.attempted.fetch_add(1, Ordering::Relaxed);
    }
}

impl Meter {
    pub(crate) fn new(intake: Arc<Intake>) -> Self {
        Self { intake, since: Instant::now(), attempted: 0, rate: 0.0 }
    }

    /// Waits until it is worth claiming, and says how many.
    pub(crate) async fn wanted(&mut self) -> usize {
        loop {
            self.measure();
            let driven = self.intake.driven.load(Ordering::Acquire);
            if let Some(wanted) = wanted(self.intake.concurrency, driven, self.rate) {
                return wanted;
            }
            self.intake.freed.notified().await;
        }
    }

    fn measure(&mut self) {
        let elapsed = self.since.elapsed();
        if elapsed < MEASURED_OVER {
            return;
        }
        let attempted = self.intake.attempted.load(Ordering::Relaxed);
        let ended = u32::try_from(attempted - self.attempted).unwrap_or(u32::MAX);
        let now = f64::from(ended) / elapsed.as_secs_f64();
        // The mean of what was and what is: a pause halves it, and so does the next.
        self.rate = f64::midpoint(self.rate, now);
        (self.since, self.attempted) = (Instant::now(), attempted);
    }
}

/// How many to claim; `None` while there is no room for a batch that is worth a statement.
fn wanted(concurrency: usize, driven: usize, rate: f64) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let ahead = ((rate * AHEAD.as_secs_f64()) as usize).min(MAX_AHEAD);
    let target = concurrency + ahead;
    let room = target.saturating_sub(driven);
    // Half of them at most, so that claiming one half overlaps with ending the other.
    let most = target.div_ceil(2).clamp(concurrency, MAX_BATCH.max(concurrency));
    let worth_it = driven < concurrency || room >= target.div_ceil(4);
    (room > 0 && worth_it).then_some(room.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_attempts_get_no_leases_ahead() {
        assert_eq!(wanted(20, 0, 0.0), Some(20));
        assert_eq!(wanted(20, 19, 0.0), Some(1));
        assert_eq!(wanted(20, 20, 0.0), None);
    }

    #[test]
    fn short_attempts_are_claimed_ahead_in_halves() {
        assert_eq!(wanted(20, 0, 4_000.0), Some(410));
        assert_eq!(wanted(20, 410, 4_000.0), Some(410));
        assert_eq!(wanted(20, 700, 4_000.0), None, "120 are not worth a claim");
        assert_eq!(wanted(20, 600, 4_000.0), Some(220));
    }

    #[test]
    fn what_is_ahead_is_bounded() {
        assert_eq!(wanted(20, 0, 1e9), Some(MAX_BATCH));
        assert_eq!(wanted(20, 20 + MAX_AHEAD, 1e9), None);
        assert_eq!(wanted(4_000, 0, 1e9), Some(4_000), "every slot may be filled at once");
    }

    #[tokio::test]
    async fn an_execution_counts_until_its_driver_ends() {
        let intake = Arc::new(Intake::new(1));
        let mut meter = Meter::new(Arc::clone(&intake));
        assert_eq!(meter.wanted().await, 1);
        let driven = intake.drive();
        let waiting = tokio::spawn(async move { meter.wanted().await });
        drop(driven);
        assert_eq!(waiting.await.unwrap(), 1);
    }
}
