//! A migrated store with a workflow whose one step calls the ledger, and ways to look at what became of it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use engine::machine::State;
use serde_json::json;
use store::listing::Filter;
use store::starts::NewExecution;
use store::workflows::{NewVersion, Version};
use store::{DEFAULT_NAMESPACE, Schema, Store, StoreSettings};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, interval};
use uuid::Uuid;

/// A test gives up after this long.
const PATIENCE: Duration = Duration::from_mins(4);

/// These tests load the whole machine and some wait for leases to lapse: one at a time.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// The whole machine, for one test.
pub(crate) async fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().await
}

/// Where a test works.
pub(crate) struct Workbench {
    pub(crate) store: Store,
    pub(crate) url: String,
    pub(crate) data: TempDir,
    workflow: Version,
    _machine: MutexGuard<'static, ()>,
}

impl Workbench {
    pub(crate) async fn new(database_url: &str, ledger_url: &str) -> Self {
        let machine = machine().await;
        let settings = StoreSettings::new(database_url, Schema::default());
        Store::migrate(&settings).await.unwrap();
        let store = Store::open(settings).await.unwrap();
        let definition = json!({ "name": "enter", "steps": [
            { "id": "enter", "type": "http", "config": { "url": ledger_url, "method": "POST" } },
        ] });
        let new = NewVersion {
            events: Vec::new(),
            namespace_id: DEFAULT_NAMESPACE,
            name: "enter".to_owned(),
            definition,
            plugin_lock: BTreeMap::new(),
        };
        let workflow = store.create_workflow(&new).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        Self { store, url: database_url.to_owned(), data, workflow, _machine: machine }
    }

    /// Puts so many executions into the queue.
    pub(crate) async fn start(&self, count: usize) -> Vec<Uuid> {
        let new: Vec<_> = (0..count)
            .map(|_| NewExecution {
                id: Uuid::now_v7(),
                namespace_id: DEFAULT_NAMESPACE,
                workflow_id: self.workflow.workflow_id,
                version: 1,
                pinned: false,
                revision: 1,
                state: State::new(Utc::now(), None),
                input: "{}".into(),
                terms: engine::searchable::Terms::default(),
                labels: BTreeMap::new(),
                due_at: None,
                idempotency_key: None,
                watched: false,
            })
            .collect();
        self.store
            .start_executions(&new)
            .await
            .unwrap()
            .unwrap()
            .into_iter()
            .map(|it| it.id)
            .collect()
    }

    /// Waits until so many executions have a status.
    pub(crate) async fn reach(&self, status: &str, count: usize) {
        let until = Instant::now() + PATIENCE;
        let mut look = interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            // The database may be away in the middle of a test.
            let reached = self.count(status).await.unwrap_or(0);
            if reached >= count {
                return;
            }
            if Instant::now() >= until {
                let failed = Filter { status: Some("failed".to_owned()), ..Filter::default() };
                let failed = self.store.executions(DEFAULT_NAMESPACE, &failed, 3).await;
                panic!("{reached} of {count} are {status}; these failed: {failed:?}");
            }
        }
    }

    async fn count(&self, status: &str) -> Option<usize> {
        let filter = Filter { status: Some(status.to_owned()), ..Filter::default() };
        let limit = usize::try_from(i32::MAX).unwrap();
        Some(self.store.executions(DEFAULT_NAMESPACE, &filter, limit).await.ok()?.len())
    }

    /// How each attempt of an execution ended: `succeeded`, or the error's code.
    pub(crate) async fn attempts(&self, id: Uuid) -> Vec<String> {
        let attempts = self.store.attempts(id, 0, 1_000).await.unwrap();
        attempts
            .into_iter()
            .map(|it| it.failure.map_or(it.status, |failure| failure.code.to_string()))
            .collect()
    }
}
