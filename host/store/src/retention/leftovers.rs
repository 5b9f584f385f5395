//! What is kept for a while beside the history: keys, records of decisions, ended actions, facts that nobody will read. Each
//! call deletes a small batch, so that no statement holds many locks.

use super::{Retention, interval};
use crate::{Store, StoreError};

/// Rows of one statement.
const BATCH: i64 = 1_000;
/// Actions of one statement: each has up to ten thousand items and more.
const BATCH_ACTIONS: i64 = 10;

/// What is left behind, in the order in which it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// Keys of starts.
    IdempotencyKeys,
    /// Keys of events and signals.
    MessageKeys,
    /// Records of decisions.
    Audit,
    /// Ended actions on many executions, with their items.
    BulkActions,
    /// Facts for executions that will not read them.
    Facts,
    /// Places in the queue of executions that are gone.
    Places,
    /// Results that came late, of executions that are gone.
    LateResults,
}

impl Leftover {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::IdempotencyKeys,
        Self::MessageKeys,
        Self::Audit,
        Self::BulkActions,
        Self::Facts,
        Self::Places,
        Self::LateResults,
    ];
}

impl Store {
    /// Deletes a batch. Returns how many there were; 0 if nothing is left to delete.
    pub async fn delete_leftovers(
        &self,
        leftover: Leftover,
        retention: &Retention,
    ) -> Result<u64, StoreError> {
        let keys = interval(retention.keys);
        let statement = match leftover {
            Leftover::IdempotencyKeys => sqlx::query!(
                "delete from idempotency_keys where ctid = any (array(
                     select ctid from idempotency_keys where created_at < now() - $1::interval limit $2))",
                keys,
                BATCH,
            ),
            Leftover::MessageKeys => sqlx::query!(
                "delete from message_keys where ctid = any (array(
                     select ctid from message_keys where created_at < now() - $1::interval limit $2))",
                keys,
                BATCH,
            ),
            Leftover::Audit => sqlx::query!(
                "delete from audit where id = any (array(
                     select id from audit where id < uuid_at(now() - $1::interval) limit $2))",
                interval(retention.audit),
                BATCH,
            ),
            Leftover::BulkActions => sqlx::query!(
                "delete from bulk_actions where id = any (array(
                     select id from bulk_actions
                     where status <> 'running' and finished_at < now() - $1::interval limit $2))",
                interval(retention.bulk_actions),
                BATCH_ACTIONS,
            ),
            // Whoever posts a fact makes sure of the place in the same statement; an hour is for readers of both.
            Leftover::Facts => sqlx::query!(
                "delete from inbox where id = any (array(
                     select i.id from inbox i
                     where i.created_at < now() - interval '1 hour'
                       and not exists (select from queue q where q.execution_id = i.execution_id) limit $1))",
                BATCH,
            ),
            // Told something at the moment at which it was deleted.
            Leftover::Places => sqlx::query!(
                "delete from queue where worker_id is null and execution_id = any (array(
                     select q.execution_id from queue q
                     where q.worker_id is null and q.due_at < now() - interval '1 minute'
                       and not exists (select from executions e where e.id = q.execution_id) limit $1))",
                BATCH,
            ),
            Leftover::LateResults => sqlx::query!(
                "delete from late_results where id = any (array(
                     select l.id from late_results l
                     where l.recorded_at < now() - interval '1 hour'
                       and not exists (select from executions e where e.id = l.execution_id) limit $1))",
                BATCH,
            ),
        };
        Ok(statement.execute(&self.pool).await?.rows_affected())
    }
}
