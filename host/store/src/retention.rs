//! How long things are kept, and deleting what is past its time: whole weeks of history at once where all of a week may go,
//! rows in small batches elsewhere. Deciding when, and archiving first, is the worker's.

mod archive;
mod gone;
mod leftovers;
mod pace;
mod references;
mod rows;
mod weeks;

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::Postgres;
use sqlx::postgres::types::PgInterval;

use crate::{Store, StoreError};

pub use archive::{ArchiveTable, Rows};
pub use leftovers::Leftover;
pub use pace::rest_from;
pub use references::Reference;
pub use rows::Page;
pub(crate) use weeks::patience;
pub use weeks::{Detached, Kind, Week};

/// The installation's settings. `None` keeps for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Executions that succeeded, unless their workflow says otherwise.
    pub succeeded: Option<Duration>,
    /// Executions that failed, unless their workflow says otherwise.
    pub failed: Option<Duration>,
    /// Executions that were cancelled, unless their workflow says otherwise.
    pub cancelled: Option<Duration>,
    /// Dead letters that nobody has looked at.
    pub dead_letters: Option<Duration>,
    /// Events and signals.
    pub events: Option<Duration>,
    /// Idempotency keys of starts, events and signals.
    pub keys: Option<Duration>,
    /// What is on record about decisions.
    pub audit: Option<Duration>,
    /// Actions on many executions, after they have ended.
    pub bulk_actions: Option<Duration>,
    /// Blobs, after nothing was found to refer to them.
    pub blobs: Option<Duration>,
}

const DAY: Duration = Duration::from_hours(24);

impl Default for Retention {
    fn default() -> Self {
        Self {
            succeeded: Some(DAY * 30),
            failed: Some(DAY * 90),
            cancelled: Some(DAY * 30),
            dead_letters: None,
            events: Some(DAY * 30),
            keys: Some(DAY * 30),
            audit: Some(DAY * 400),
            bulk_actions: Some(DAY * 90),
            blobs: Some(DAY * 7),
        }
    }
}

/// The right to delete: one process has it at a time. Ends with its connection.
#[derive(Debug)]
pub struct RetentionTurn {
    connection: PoolConnection<Postgres>,
}

impl RetentionTurn {
    /// Gives the turn to whoever asks next. Without this it is free once the server has noticed that the connection is gone.
    pub async fn end(mut self) -> Result<(), StoreError> {
        sqlx::query_scalar!("select pg_advisory_unlock_all()::text")
            .fetch_one(&mut *self.connection)
            .await?;
        Ok(())
    }
}

impl Store {
    /// Takes the turn at deleting; `None` if another process has it.
    pub async fn retention_turn(&self) -> Result<Option<RetentionTurn>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        // The lock is the session's: given back to the pool, the connection would keep it.
        connection.close_on_drop();
        let taken = sqlx::query_scalar!(
            r#"select pg_try_advisory_lock(hashtext('stateflow.retention.' || current_schema())) as "taken!""#
        )
        .fetch_one(&mut *connection)
        .await?;
        Ok(taken.then_some(RetentionTurn { connection }))
    }
}

/// As Postgres has it; what is too long for it is for ever.
pub(crate) fn interval(kept: Option<Duration>) -> Option<PgInterval> {
    let microseconds = i64::try_from(kept?.as_micros()).ok()?;
    Some(PgInterval { months: 0, days: 0, microseconds })
}
