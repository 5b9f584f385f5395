//! A migrated store with a workflow in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use engine::machine::{AttemptRecord, ExecutionStatus, RecordStatus, State};
use engine::searchable::Terms;
use serde_json::json;
use sqlx::PgPool;
use stateflow_store::journal::{Disposition, Journal, Write};
use stateflow_store::leases::Claimed;
use stateflow_store::starts::NewExecution;
use stateflow_store::wakeups::Wakeups;
use stateflow_store::workers::NewWorker;
use stateflow_store::workflows::NewVersion;
use stateflow_store::{DEFAULT_NAMESPACE, Schema, Store, StoreSettings};
use testing::TestDatabase;
use uuid::Uuid;

/// A test gives up after this long.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Fixture {
    pub(crate) store: Store,
    database: TestDatabase,
    pub(crate) workflow_id: Uuid,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let database = testing::database().await;
        let settings = StoreSettings::new(database.url(), Schema::default());
        Store::migrate(&settings).await.unwrap();
        let store = Store::open(settings).await.unwrap();
        let new = NewVersion {
            events: Vec::new(),
            namespace_id: DEFAULT_NAMESPACE,
            name: "w".to_owned(),
            definition: json!({ "name": "w", "steps": [{ "id": "s", "type": "log" }] }),
            plugin_lock: BTreeMap::new(),
        };
        let workflow_id = store.create_workflow(&new).await.unwrap().workflow_id;
        Self { store, database, workflow_id }
    }

    pub(crate) fn execution(&self) -> NewExecution {
        NewExecution {
            id: Uuid::now_v7(),
            namespace_id: DEFAULT_NAMESPACE,
            workflow_id: self.workflow_id,
            version: 1,
            pinned: false,
            revision: 1,
            state: State::new(Utc::now(), None),
            input: "{}".into(),
            terms: Terms::default(),
            labels: BTreeMap::new(),
            due_at: None,
            idempotency_key: None,
            watched: false,
        }
    }

    pub(crate) async fn start(&self, count: usize) -> Vec<Uuid> {
        let new: Vec<_> = (0..count).map(|_| self.execution()).collect();
        self.store
            .start_executions(&new)
            .await
            .unwrap()
            .unwrap()
            .into_iter()
            .map(|it| it.id)
            .collect()
    }

    /// A registered worker whose leases hold this long.
    pub(crate) async fn worker(&self, lease: Duration) -> Uuid {
        let worker = NewWorker {
            id: Uuid::now_v7(),
            host: "here".to_owned(),
            pid: 1,
            build: "test".to_owned(),
            concurrency: 1,
            lease,
        };
        self.store.register_worker(&worker).await.unwrap();
        worker.id
    }

    /// A worker that lives through the test.
    pub(crate) async fn lasting_worker(&self) -> Uuid {
        self.worker(Duration::from_mins(10)).await
    }

    /// The same database, for somebody else.
    pub(crate) async fn side(&self) -> PgPool {
        PgPool::connect(self.database.url()).await.unwrap()
    }

    pub(crate) async fn until_somebody_waits_for_a_lock(&self) {
        let side = self.side().await;
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        let begun = Instant::now();
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&side).await.unwrap() == 0 {
            assert!(begun.elapsed() < PATIENCE, "nobody waits for a lock");
        }
    }

    pub(crate) fn journal(&self, worker_id: Uuid) -> Journal {
        Journal::open(self.store.clone(), worker_id, Wakeups::default()).0
    }
}

/// A write that ends the first attempt of the step.
pub(crate) fn write(claimed: &Claimed, disposition: Disposition) -> Write {
    let now = DateTime::<Utc>::UNIX_EPOCH;
    let status = match disposition {
        Disposition::Finish { .. } => ExecutionStatus::Succeeded,
        _ => ExecutionStatus::Running,
    };
    let state = State { status, records: 1, ..claimed.state.clone() };
    let record = AttemptRecord {
        sequence: 1,
        step_id: "s".to_owned(),
        attempt: 1,
        status: RecordStatus::Succeeded,
        started_at: now,
        finished_at: now,
        output: Some(json!({ "n": 1 }).into()),
        failure: None,
    };
    Write {
        execution_id: claimed.execution_id,
        lease_epoch: claimed.lease_epoch,
        state,
        disposition,
        taken_up_at: now,
        records: vec![record],
        logs: Vec::new(),
        consumed: Vec::new(),
        seen_signals: claimed.signals,
        family: None,
        is_part: false,
        kin: Vec::new(),
    }
}
