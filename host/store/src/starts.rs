//! Starting executions: grouped like the journal, so that many callers share a commit.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use engine::machine::State;
use engine::searchable::Terms;
use sqlx::PgExecutor;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::group_commit::{Batches, Entry, Submitter};
use crate::wakeups::Wakeups;
use crate::{Store, StoreError};

/// How many starts may wait for the commit under way.
const MAX_WAITING: usize = 1_024;
/// A batch is full at about this many bytes of input.
const FULL_BYTES: usize = 8 << 20;

/// An execution to start.
#[derive(Clone, Debug)]
pub struct NewExecution {
    /// A fresh `UUIDv7`.
    pub id: Uuid,
    /// Who owns it.
    pub namespace_id: i32,
    /// The workflow.
    pub workflow_id: Uuid,
    /// The version that it runs.
    pub version: i32,
    /// It runs that version whatever is live; otherwise it starts only if the workflow has not changed since.
    pub pinned: bool,
    /// The workflow's revision by which the version was chosen.
    pub revision: i32,
    /// Its first state.
    pub state: State,
    /// Its input, as JSON text.
    pub input: Arc<str>,
    /// What it is found by out of its input.
    pub terms: Terms,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Not before this instant; now, if there is none.
    pub due_at: Option<DateTime<Utc>>,
    /// The same key again gives the same execution.
    pub idempotency_key: Option<String>,
    /// Somebody waits for the end.
    pub watched: bool,
}

/// A started execution: new, or the one that already had the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// The execution.
    pub id: Uuid,
    /// Whether this call started it.
    pub fresh: bool,
}

type Answer = Result<Started, StartError>;

/// Why a start failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be reached just now.
    #[error("the database is unavailable")]
    Unavailable,
    /// The version is not the newest any more, or the workflow is gone: look again.
    #[error("the workflow has changed")]
    Stale,
    /// The database refused it.
    #[error("the database refused the execution")]
    Refused,
}

/// The handle of the starter. The writer behind it ends when the last handle is gone.
#[derive(Clone)]
pub struct Starter {
    submitter: Submitter<NewExecution, Answer>,
}

impl Starter {
    /// Starts the starter.
    pub fn open(store: Store, wakeups: Wakeups) -> (Self, JoinHandle<()>) {
        let (submitter, batches) = Submitter::channel(MAX_WAITING);
        (Self { submitter }, tokio::spawn(run(store, wakeups, batches)))
    }

    /// Starts one execution; it is durable when this returns.
    pub async fn start(&self, execution: NewExecution) -> Result<Started, StartError> {
        let weight = 256 + execution.input.len();
        self.submitter.submit(execution, weight).await.unwrap_or(Err(StartError::Unavailable))
    }
}

async fn run(store: Store, wakeups: Wakeups, mut batches: Batches<NewExecution, Answer>) {
    while let Some(batch) = batches.next(FULL_BYTES).await {
        let executions = batch.len();
        start_batch(&store, batch).await;
        wakeups.work(executions);
    }
}

async fn start_batch(store: &Store, batch: Vec<Entry<NewExecution, Answer>>) {
    let new: Vec<_> = batch.iter().map(|entry| entry.item.clone()).collect();
    let outcome = store.start(&new, false).await;
    if let Err(error) = &outcome {
        // One start that the database refuses must not take the others with it.
        if !error.is_transient() && batch.len() > 1 {
            for entry in batch {
                Box::pin(start_batch(store, vec![entry])).await;
            }
            return;
        }
        tracing::warn!(error = ?error, executions = new.len(), "executions could not be started");
    }
    for (at, entry) in batch.into_iter().enumerate() {
        entry.answer(match &outcome {
            Ok(started) => started[at].ok_or(StartError::Stale),
            Err(error) if error.is_transient() => Err(StartError::Unavailable),
            Err(_) => Err(StartError::Refused),
        });
    }
}

impl Store {
    /// Starts executions, all or none, in one statement. The answers are in the order of the items; `None` if any is
    /// [`StartError::Stale`].
    pub async fn start_executions(
        &self,
        new: &[NewExecution],
    ) -> Result<Option<Vec<Started>>, StoreError> {
        Ok(self.start(new, true).await?.into_iter().collect())
    }

    /// The answers are in the order of the items; `None` for what is stale.
    async fn start(
        &self,
        new: &[NewExecution],
        all_or_none: bool,
    ) -> Result<Vec<Option<Started>>, StoreError> {
        let fresh = Self::insert_executions(&self.pool, new, all_or_none).await?;
        let others = new.iter().filter(|it| !fresh.contains(&it.id));
        let keyed: Vec<_> = others.filter(|it| it.idempotency_key.is_some()).collect();
        let known =
            if keyed.is_empty() { HashMap::new() } else { self.find_by_keys(&keyed).await? };
        let started = |it: &NewExecution| {
            if fresh.contains(&it.id) {
                return Some(Started { id: it.id, fresh: true });
            }
            let key = (it.workflow_id, it.idempotency_key.clone()?);
            known.get(&key).map(|id| Started { id: *id, fresh: false })
        };
        Ok(new.iter().map(started).collect())
    }

    pub(crate) async fn insert_executions(
        executor: impl PgExecutor<'_>,
        new: &[NewExecution],
        all_or_none: bool,
    ) -> Result<HashSet<Uuid>, StoreError> {
        let ids: Vec<_> = new.iter().map(|it| it.id).collect();
        let namespaces: Vec<_> = new.iter().map(|it| it.namespace_id).collect();
        let workflows: Vec<_> = new.iter().map(|it| it.workflow_id).collect();
        let versions: Vec<_> = new.iter().map(|it| it.version).collect();
        let pinned: Vec<_> = new.iter().map(|it| it.pinned).collect();
        let states: Vec<_> = new.iter().map(|it| json_text(&it.state)).collect();
        let inputs: Vec<_> = new.iter().map(|it| &*it.input).collect();
        let labels: Vec<_> = new.iter().map(|it| json_text(&it.labels)).collect();
        let due: Vec<_> = new.iter().map(|it| it.due_at).collect();
        let keys: Vec<_> = new.iter().map(|it| it.idempotency_key.clone()).collect();
        let watched: Vec<_> = new.iter().map(|it| it.watched).collect();
        let revisions: Vec<_> = new.iter().map(|it| it.revision).collect();
        let terms: Vec<_> = new.iter().map(|it| array_text(&it.terms)).collect();
        let fresh = sqlx::query_file_scalar!(
            "queries/start_executions.sql",
            &ids,
            &namespaces,
            &workflows,
            &versions,
            &states,
            &inputs as &[&str],
            &labels,
            &due as &[Option<DateTime<Utc>>],
            &keys as &[Option<String>],
            &watched,
            &pinned,
            all_or_none,
            &revisions,
            &terms as &[Option<String>],
        )
        .fetch_all(executor)
        .await?;
        Ok(fresh.into_iter().collect())
    }

    async fn find_by_keys(
        &self,
        keyed: &[&NewExecution],
    ) -> Result<HashMap<(Uuid, String), Uuid>, StoreError> {
        let workflows: Vec<_> = keyed.iter().map(|it| it.workflow_id).collect();
        let keys: Vec<_> = keyed.iter().filter_map(|it| it.idempotency_key.clone()).collect();
        let rows = sqlx::query!(
            "select k.workflow_id, k.key, k.execution_id
             from idempotency_keys k
             join unnest($1::uuid[], $2::text[]) as w (workflow_id, key)
               on w.workflow_id = k.workflow_id and w.key = k.key",
            &workflows,
            &keys,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| ((row.workflow_id, row.key), row.execution_id)).collect())
    }
}

/// Terms as Postgres writes an array of texts; none, if there are none. In one text, because there are no arrays of arrays of
/// different lengths.
pub(crate) fn array_text(terms: &Terms) -> Option<String> {
    let quoted = |term: &str| format!("\"{}\"", term.replace('\\', r"\\").replace('"', r#"\""#));
    let quoted: Vec<_> = terms.iter().map(quoted).collect();
    (!quoted.is_empty()).then(|| format!("{{{}}}", quoted.join(",")))
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("states and labels always print as JSON")
}
