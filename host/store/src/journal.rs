//! The journal: the one door through which state changes. Group commit, guarded by leases.

mod columns;
mod kin;
mod showing;
mod speech;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use engine::attempt::LogLine;
use engine::failure::Failure;
use engine::machine::{AttemptRecord, ExecutionStatus, Fact, State, Subscription};
use engine::trace::TraceParent;
use serde_json::Value;
use sqlx::PgExecutor;
use std::sync::Arc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::group_commit::{Batches, Entry, Submitter};
use crate::wakeups::Wakeups;
use crate::{Store, StoreError};
use columns::{LateColumns, WriteColumns};
pub use kin::Birth;
use kin::Kin;

/// How many transitions may wait for the commit under way; who comes then waits for room.
const MAX_WAITING: usize = 1_024;
/// A batch is full at about this many bytes, so that one statement stays a size that Postgres likes.
const FULL_BYTES: usize = 8 << 20;
/// What brings so many bytes goes with its like: 512 children of a family, say. The ten thousand that there may be
/// take the database a sixth of a second, in which no small transition has to wait.
const LARGE_BYTES: usize = 256 << 10;
/// The first and the longest wait before a batch is written again after the database was away.
const RETRY_FROM: Duration = Duration::from_millis(50);
const RETRY_TO: Duration = Duration::from_secs(2);

/// One transition, to be made durable.
#[derive(Debug)]
pub struct Write {
    /// The execution.
    pub execution_id: Uuid,
    /// The lease that the writer holds.
    pub lease_epoch: i64,
    /// The state after the transition.
    pub state: State,
    /// What becomes of the execution's place in the queue.
    pub disposition: Disposition,
    /// When the writer took the execution up: the first such instant is the execution's start.
    pub taken_up_at: DateTime<Utc>,
    /// What is appended to the history.
    pub records: Vec<AttemptRecord>,
    /// What the attempt of the first record logged.
    pub logs: Vec<LogLine>,
    /// The inbox facts that the transition took in.
    pub consumed: Vec<i64>,
    /// How many facts had been posted when the writer last read the inbox.
    pub seen_signals: i32,
    /// The family that it is counted in when it ends: the parent, and the visit.
    pub family: Option<(Uuid, u32)>,
    /// It runs a block: a part of another execution.
    pub is_part: bool,
    /// What else the transition does, to other executions.
    pub kin: Vec<KinAct>,
}

impl Write {
    /// Somebody should look at it: it has failed, and is not a part of another that will say so.
    fn is_dead_letter(&self) -> bool {
        self.state.status == ExecutionStatus::Failed && !self.state.unremarkable && !self.is_part
    }
}

/// What a transition does beyond its own execution, in the same commit.
#[derive(Debug)]
pub enum KinAct {
    /// Begins a family.
    Begin(Box<Birth>),
    /// Tells the members of a family that have not ended.
    Tell {
        /// The visit that began it.
        visit: u32,
        /// What they are told.
        fact: Fact,
    },
    /// Tells itself: the family could not begin.
    Refuse(Fact),
    /// Waits for a message.
    Listen {
        /// Who owns it.
        namespace_id: i32,
        /// What it waits for.
        subscription: Box<Subscription>,
    },
    /// Waits no more.
    StopListening {
        /// The visit that began it.
        visit: u32,
        /// The message that it waited for.
        by: Option<Uuid>,
    },
    /// Has taken in a signal.
    Consume(Uuid),
    /// Sends an event.
    Emit {
        /// Who owns it.
        namespace_id: i32,
        /// Its id.
        id: Uuid,
        /// Its name.
        name: String,
        /// What it says.
        data: Arc<Value>,
        /// The span of the execution.
        trace: TraceParent,
    },
    /// Lets the log of the attempt under way be seen.
    ShowLog {
        /// The line of the history that the attempt will be.
        sequence: u32,
        /// Its step.
        step_id: String,
        /// Its number.
        attempt: u32,
        /// All lines so far.
        lines: Vec<LogLine>,
    },
    /// The attempt has ended: its log is with it.
    HideLog,
}

/// What becomes of an execution's place in the queue.
#[derive(Debug)]
pub enum Disposition {
    /// The writer goes on driving it.
    Keep,
    /// The writer gives it back until an instant.
    Release(DateTime<Utc>),
    /// The execution has ended.
    Finish {
        /// With what.
        output: Option<Arc<Value>>,
        /// Or why.
        failure: Option<Failure>,
    },
    /// The execution had ended before; only its place in the queue goes.
    Drop,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is durable.
    Durable {
        /// How many facts have been posted to the inbox so far.
        signals: i32,
    },
    /// The lease was gone: nothing was changed, and the records are kept as late.
    Refused,
}

/// The journal's handle. The writers behind it end when the last handle is gone.
///
/// There are two, for small transitions and for large ones. An execution's transitions come one after the other, so
/// they are in order whichever way they go.
#[derive(Clone)]
pub struct Journal {
    small: Submitter<Write, Written>,
    large: Submitter<Write, Written>,
}

impl Journal {
    /// Starts the journal of one worker.
    pub fn open(store: Store, worker_id: Uuid, wakeups: Wakeups) -> (Self, JoinHandle<()>) {
        let writer = Writer { store, worker_id, wakeups };
        let (small, small_batches) = Submitter::channel(MAX_WAITING);
        let (large, large_batches) = Submitter::channel(MAX_WAITING);
        let aside = tokio::spawn(writer.clone().run(large_batches));
        let both = async move {
            writer.run(small_batches).await;
            aside.await.expect("the writer of large transitions does not panic");
        };
        (Self { small, large }, tokio::spawn(both))
    }

    /// Makes a transition durable. Waits for as long as the database is away.
    pub async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let weight = weight(&write);
        let lane = if weight < LARGE_BYTES { &self.small } else { &self.large };
        lane.submit(write, weight).await
    }
}

#[derive(Clone)]
struct Writer {
    store: Store,
    worker_id: Uuid,
    wakeups: Wakeups,
}

impl Writer {
    async fn run(self, mut batches: Batches<Write, Written>) {
        while let Some(batch) = batches.next(FULL_BYTES).await {
            self.write(batch).await;
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a batch has some thousands of transitions at most"
    )]
    async fn write(&self, batch: Vec<Entry<Write, Written>>) {
        let columns = WriteColumns::of(batch.iter().map(|entry| &entry.item));
        let began = Instant::now();
        let mut wait = RETRY_FROM;
        let mut again = false;
        let mut outcomes = loop {
            match self.commit(&batch, &columns, again).await {
                Ok(outcomes) => break outcomes,
                Err(error) if error.is_transient() => {
                    tracing::warn!(error = ?error, writes = batch.len(), "the journal waits for the database");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_TO);
                    again = true;
                }
                // One bad row must not take the others with it: each goes alone, and the bad one is dropped with
                // its caller's error.
                Err(error) if batch.len() > 1 => {
                    tracing::warn!(error = ?error, writes = batch.len(), "a batch was refused; writing one by one");
                    return self.write_singly(batch).await;
                }
                Err(error) => {
                    tracing::error!(error = ?error, "the database refused a transition");
                    return;
                }
            }
        };
        self.store.metrics.commit.observe(began.elapsed().as_secs_f64());
        self.store.metrics.batch.observe(batch.len() as f64);
        for entry in batch {
            let outcome = outcomes.remove(&entry.item.execution_id).unwrap_or(Written::Refused);
            entry.answer(outcome);
        }
    }

    async fn write_singly(&self, batch: Vec<Entry<Write, Written>>) {
        for entry in batch {
            Box::pin(self.write(vec![entry])).await;
        }
    }

    async fn commit(
        &self,
        batch: &[Entry<Write, Written>],
        columns: &WriteColumns,
        again: bool,
    ) -> Result<HashMap<Uuid, Written>, StoreError> {
        let kin = Kin::of(batch.iter().map(|entry| &entry.item));
        let rows = if kin.is_empty() {
            commit_transitions(&self.store.pool, self.worker_id, columns).await?
        } else {
            self.commit_with_kin(columns, &kin).await?
        };
        let watched = rows.iter().filter(|row| row.watched).map(|row| row.execution_id);
        self.wakeups.ended(watched.filter_map(|id| columns.ended(id)).collect());
        let held = rows.into_iter().filter(|row| !row.watched);
        let mut outcomes: HashMap<_, _> =
            held.map(|row| (row.execution_id, Written::Durable { signals: row.signals })).collect();
        if outcomes.len() < columns.execution_id.len() {
            if again {
                outcomes.extend(self.committed_before(columns, &outcomes).await?);
            }
            self.record_late(batch, &outcomes).await?;
        }
        Ok(outcomes)
    }

    /// The transitions, and what they do to other executions, in one transaction.
    async fn commit_with_kin(
        &self,
        columns: &WriteColumns,
        kin: &Kin<'_>,
    ) -> Result<Vec<Held>, StoreError> {
        let mut transaction = self.store.pool.begin().await?;
        let rows = commit_transitions(&mut *transaction, self.worker_id, columns).await?;
        let held = rows.iter().map(|row| row.execution_id).collect();
        let stirred = kin.apply(&mut transaction, &held).await?;
        transaction.commit().await?;
        stirred.tell(&self.wakeups);
        Ok(rows)
    }

    /// After a connection broke it is not known whether its commit arrived. It did if the execution carries
    /// our lease and as many records as we meant to leave.
    async fn committed_before(
        &self,
        columns: &WriteColumns,
        durable: &HashMap<Uuid, Written>,
    ) -> Result<HashMap<Uuid, Written>, StoreError> {
        let rows = sqlx::query!(
            r#"select e.id
               from executions e
               join unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[])
                    as b (execution_id, lease_epoch, records, status) on b.execution_id = e.id
               where e.lease_epoch = b.lease_epoch and e.records = b.records and e.status = b.status"#,
            &columns.execution_id,
            &columns.lease_epoch,
            &columns.record_count,
            &columns.status as &[&str],
        )
        .fetch_all(&self.store.pool)
        .await?;
        let missed = rows.into_iter().map(|row| row.id).filter(|id| !durable.contains_key(id));
        Ok(missed.map(|id| (id, Written::Durable { signals: 0 })).collect())
    }

    async fn record_late(
        &self,
        batch: &[Entry<Write, Written>],
        durable: &HashMap<Uuid, Written>,
    ) -> Result<(), StoreError> {
        let late = LateColumns::of(batch.iter().map(|entry| &entry.item), durable);
        let LateColumns { lease_epoch, records } = &late;
        if lease_epoch.is_empty() {
            return Ok(());
        }
        tracing::warn!(results = lease_epoch.len(), "results came after their lease was gone");
        sqlx::query_file!(
            "queries/record_late_results.sql",
            self.worker_id,
            &records.execution_id,
            &records.step_id,
            &records.attempt,
            &records.status as &[&str],
            lease_epoch,
            &records.output as &[Option<String>],
            &records.failure as &[Option<String>],
            &records.sequence,
        )
        .execute(&self.store.pool)
        .await?;
        Ok(())
    }
}

/// An execution whose lease was held; another row of it if somebody waits for its end.
struct Held {
    execution_id: Uuid,
    signals: i32,
    watched: bool,
}

/// Commits no transition: for a connection that is to know the statement.
pub(crate) async fn commit_nothing(executor: impl PgExecutor<'_>) -> Result<(), StoreError> {
    commit_transitions(executor, Uuid::nil(), &WriteColumns::default()).await.map(drop)
}

async fn commit_transitions(
    executor: impl PgExecutor<'_>,
    worker_id: Uuid,
    it: &WriteColumns,
) -> Result<Vec<Held>, StoreError> {
    let (first, more) = (&it.first, &it.more);
    let rows = sqlx::query_file_as!(
        Held,
        "queries/commit_transitions.sql",
        worker_id,
        &it.execution_id,
        &it.lease_epoch,
        &it.disposition as &[&str],
        &it.status as &[&str],
        &it.state,
        &it.due_at as &[Option<DateTime<Utc>>],
        &it.seen_signals,
        &it.record_count,
        &it.output as &[Option<String>],
        &it.failure as &[Option<String>],
        &it.taken_up_at,
        &first.sequence as &[Option<i32>],
        &first.step_id as &[Option<String>],
        &first.attempt as &[Option<i32>],
        &first.status as &[Option<&str>],
        &first.started_at as &[Option<DateTime<Utc>>],
        &first.finished_at as &[Option<DateTime<Utc>>],
        &first.output as &[Option<String>],
        &first.failure as &[Option<String>],
        &it.logs as &[Option<String>],
        &more.execution_id,
        &more.sequence,
        &more.step_id,
        &more.attempt,
        &more.status as &[&str],
        &more.started_at,
        &more.finished_at,
        &more.output as &[Option<String>],
        &more.failure as &[Option<String>],
        &it.consumed,
        &it.dead_letter,
        &it.failed_code as &[Option<&str>],
        &it.failed_step as &[Option<String>],
    )
    .fetch_all(executor)
    .await?;
    Ok(rows)
}

/// About how many bytes a write brings.
fn weight(write: &Write) -> usize {
    let outputs = write.records.iter().filter_map(|record| record.output.as_deref());
    let logs: usize = write.logs.iter().map(|line| line.message.len()).sum();
    let births = write.kin.iter().map(KinAct::weight);
    256 + logs + outputs.map(engine::expression::json_size).sum::<usize>() + births.sum::<usize>()
}
