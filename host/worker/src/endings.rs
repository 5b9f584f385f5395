//! What ended, by minute: gathered here, and added to the store once a second, so that health can speak of the last hour without
//! reading executions. What a crash takes with it is missing there, and nowhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use engine::failure::ErrorCode;
use engine::machine::ExecutionStatus;
use prometheus::IntCounterVec;
use store::Store;
use store::figures::FinishedMinute;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often what was gathered is added.
const EVERY: Duration = Duration::from_secs(1);

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Endings {
    finished: IntCounterVec,
    gathered: Arc<Mutex<HashMap<Kind, i32>>>,
}

type Kind = (DateTime<Utc>, &'static str, &'static str);

impl Endings {
    /// With the counter of the process's own metrics.
    pub(crate) fn new(finished: IntCounterVec) -> Self {
        Self { finished, gathered: Arc::default() }
    }

    /// An execution ended. Parts of others are counted in the process's metrics alone.
    pub(crate) fn count(
        &self,
        now: DateTime<Utc>,
        status: ExecutionStatus,
        code: Option<ErrorCode>,
        is_part: bool,
    ) {
        self.finished.with_label_values(&[status.as_str()]).inc();
        if is_part {
            return;
        }
        let minute = now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now);
        let kind = (minute, status.as_str(), code.map_or("", ErrorCode::as_str));
        *self.gathered().entry(kind).or_default() += 1;
    }

    /// Adds what is gathered until the worker is over, and what is left then.
    pub(crate) async fn keep_adding(self, store: Store, over: CancellationToken) {
        let worker_id = Uuid::now_v7();
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let ending = tokio::select! {
                _ = tick.tick() => false,
                () = over.cancelled() => true,
            };
            self.add(&store, worker_id).await;
            if ending {
                return;
            }
        }
    }

    /// What could not be added is gathered again.
    async fn add(&self, store: &Store, worker_id: Uuid) {
        let gathered = std::mem::take(&mut *self.gathered());
        if gathered.is_empty() {
            return;
        }
        let minutes: Vec<_> = gathered
            .iter()
            .map(|(&(minute, status, code), &executions)| FinishedMinute {
                minute,
                status,
                code,
                executions,
            })
            .collect();
        if let Err(error) = store.add_finished(worker_id, &minutes).await {
            tracing::debug!(error = ?error, "what ended could not be added up");
            let mut now = self.gathered();
            for (kind, executions) in gathered {
                *now.entry(kind).or_default() += executions;
            }
        }
    }

    fn gathered(&self) -> std::sync::MutexGuard<'_, HashMap<Kind, i32>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Opts;

    use super::*;

    #[test]
    fn what_ends_alike_within_a_minute_is_added_up() {
        let counter = IntCounterVec::new(Opts::new("finished", "ended"), &["status"]).unwrap();
        let endings = Endings::new(counter.clone());
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for second in ["00", "59"] {
            let now = at(&format!("2026-11-28T10:00:{second}Z"));
            endings.count(now, ExecutionStatus::Succeeded, None, false);
            endings.count(now, ExecutionStatus::Failed, Some(ErrorCode::Timeout), false);
            endings.count(now, ExecutionStatus::Failed, None, true);
        }
        endings.count(at("2026-11-28T10:01:00Z"), ExecutionStatus::Succeeded, None, false);
        assert_eq!(counter.with_label_values(&["failed"]).get(), 4, "parts are counted there");
        let mut gathered: Vec<_> =
            endings.gathered().iter().map(|(kind, count)| (*kind, *count)).collect();
        gathered.sort_unstable();
        let (first, second) = (at("2026-11-28T10:00:00Z"), at("2026-11-28T10:01:00Z"));
        assert_eq!(
            gathered,
            [
                ((first, "failed", "TIMEOUT"), 2),
                ((first, "succeeded", ""), 2),
                ((second, "succeeded", ""), 1),
            ]
        );
    }
}
