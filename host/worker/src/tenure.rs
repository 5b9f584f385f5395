//! One registration of a worker: its id, its journal, and the executions that it holds.

use std::sync::Arc;

use dashmap::DashMap;
use store::Store;
use store::journal::Journal;
use store::wakeups::Wakeups;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Shared by the loops and the drivers of one registration.
#[derive(Clone)]
pub(crate) struct Tenure {
    pub(crate) worker_id: Uuid,
    pub(crate) journal: Journal,
    /// The lease is gone: no more claims under this id.
    pub(crate) lost: CancellationToken,
    held: Arc<DashMap<i64, Held>>,
}

/// What the loops know of an execution under lease.
struct Held {
    execution_id: Uuid,
    news: Arc<Notify>,
}

/// Keeps an execution on the list of what is held; off it when dropped, however the driver ends.
pub(crate) struct Holding {
    held: Arc<DashMap<i64, Held>>,
    lease_epoch: i64,
    /// Rings when there may be something in the inbox.
    pub(crate) news: Arc<Notify>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.held.remove(&self.lease_epoch);
    }
}

impl Tenure {
    pub(crate) fn begin(
        store: &Store,
        worker_id: Uuid,
        wakeups: &Wakeups,
    ) -> (Self, JoinHandle<()>) {
        let (journal, writer) = Journal::open(store.clone(), worker_id, wakeups.clone());
        let tenure = Self {
            worker_id,
            journal,
            lost: CancellationToken::new(),
            held: Arc::new(DashMap::new()),
        };
        (tenure, writer)
    }

    /// Puts an execution on the list. Leases have unique numbers, so the same execution under a later lease is
    /// another entry.
    pub(crate) fn hold(&self, execution_id: Uuid, lease_epoch: i64) -> Holding {
        let news = Arc::new(Notify::new());
        self.held.insert(lease_epoch, Held { execution_id, news: Arc::clone(&news) });
        Holding { held: Arc::clone(&self.held), lease_epoch, news }
    }

    /// Whether drivers hold any lease.
    pub(crate) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// The leases that drivers hold.
    pub(crate) fn leases(&self) -> Vec<i64> {
        self.held.iter().map(|held| *held.key()).collect()
    }

    /// Rings for the named executions, where they are held here.
    pub(crate) fn ring(&self, execution_ids: &[Uuid]) {
        for held in self.held.iter().filter(|held| execution_ids.contains(&held.execution_id)) {
            held.news.notify_one();
        }
    }
}
