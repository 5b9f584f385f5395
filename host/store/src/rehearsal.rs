//! What a connection does before anybody needs it.
//!
//! A statement costs many times as much when it is the first one of its kind on a connection: Postgres starts a process for
//! each, which has read nothing of the catalogue yet and knows no statement. So a new connection does once, on nothing,
//! what every execution needs.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{Store, StoreError, journal, leases};

/// Rehearses on a connection. It is as good without: what is wrong comes out where it matters, and is said there.
pub(crate) async fn rehearse(connection: &mut PgConnection) {
    if let Err(error) = every_statement(connection).await {
        tracing::debug!(error = ?error, "a connection has rehearsed nothing");
    }
}

async fn every_statement(connection: &mut PgConnection) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    // Whoever waits for the connection need not wait for somebody who has locked a table.
    sqlx::query!("select set_config('lock_timeout', '50ms', true)")
        .fetch_one(&mut *transaction)
        .await?;
    Store::insert_executions(&mut *transaction, &[], false).await?;
    leases::claim_rows(&mut *transaction, Uuid::nil(), 0).await?;
    journal::commit_nothing(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}
