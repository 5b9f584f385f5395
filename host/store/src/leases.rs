//! Leases: claiming due executions, reading what driving them needs, expiring what lost workers held.

use chrono::{DateTime, Utc};
use engine::machine::State;
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::families::Kinship;
use crate::{Store, StoreError};

/// How many leases one call expires: a lost worker's backlog comes back in pieces.
const EXPIRE_BATCH: i64 = 1_000;

/// A leased execution, as stored.
#[derive(Debug)]
pub struct Claimed {
    /// The execution.
    pub execution_id: Uuid,
    /// The lease's number.
    pub lease_epoch: i64,
    /// Whether the lease before this one was lost: an attempt may have been under way that nothing tells of.
    pub lost: bool,
    /// Facts posted to its inbox so far.
    pub signals: i32,
    /// Who owns it.
    pub namespace_id: i32,
    /// The workflow.
    pub workflow_id: Uuid,
    /// The version that it runs.
    pub version: i32,
    /// Its state, outputs included.
    pub state: State,
    /// What it was started with.
    pub input: Value,
    /// Where it belongs, if another execution has begun it.
    pub kinship: Option<Kinship>,
}

/// A leased execution as it is stored.
pub(crate) struct ClaimedRow {
    execution_id: Uuid,
    lease_epoch: i64,
    signals: i32,
    lost: bool,
    namespace_id: i32,
    workflow_id: Uuid,
    version: i32,
    state: String,
    input: String,
    parent_id: Option<Uuid>,
    visit: Option<i32>,
    ordinal: Option<i32>,
    block: Option<String>,
}

pub(crate) async fn claim_rows(
    executor: impl PgExecutor<'_>,
    worker_id: Uuid,
    limit: i64,
) -> Result<Vec<ClaimedRow>, StoreError> {
    let claiming =
        sqlx::query_file_as!(ClaimedRow, "queries/claim_executions.sql", worker_id, limit);
    Ok(claiming.fetch_all(executor).await?)
}

impl Store {
    /// Takes leases on up to `limit` due executions for a worker whose own lease is alive.
    pub async fn claim(&self, worker_id: Uuid, limit: i64) -> Result<Vec<Claimed>, StoreError> {
        let rows = claim_rows(&self.pool, worker_id, limit).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let (state, input) = match (parse("state", &row.state), parse("input", &row.input)) {
                (Ok(state), Ok(input)) => (state, input),
                // One unreadable row must not keep the others from being driven.
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(execution_id = %row.execution_id, error = ?error, "an execution is unreadable");
                    continue;
                }
            };
            claimed.push(Claimed {
                execution_id: row.execution_id,
                lease_epoch: row.lease_epoch,
                lost: row.lost,
                signals: row.signals,
                namespace_id: row.namespace_id,
                workflow_id: row.workflow_id,
                version: row.version,
                state,
                input,
                kinship: Kinship::of(row.parent_id, row.visit, row.ordinal, row.block),
            });
        }
        self.restore_outputs(&mut claimed).await?;
        Ok(claimed)
    }

    /// Puts the outputs back that the stored state leaves to the history. Fresh executions have none.
    async fn restore_outputs(&self, claimed: &mut [Claimed]) -> Result<(), StoreError> {
        let begun = claimed.iter().filter(|it| it.state.records > 0).map(|it| it.execution_id);
        let begun: Vec<_> = begun.collect();
        if begun.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"select distinct on (execution_id, step_id) execution_id, step_id, output::text as "output!"
               from attempts
               where execution_id = any ($1) and status = 'succeeded'
               order by execution_id, step_id, sequence desc"#,
            &begun,
        )
        .fetch_all(&self.pool)
        .await?;
        for row in rows {
            let output: Value = parse("output", &row.output)?;
            if let Some(it) = claimed.iter_mut().find(|it| it.execution_id == row.execution_id) {
                it.state.restore_outputs(std::iter::once((row.step_id, output)));
            }
        }
        Ok(())
    }

    /// Expires the leases of workers that stopped renewing them. Returns how many executions came free.
    pub async fn expire_leases(&self) -> Result<i64, StoreError> {
        Ok(sqlx::query_file_scalar!("queries/expire_leases.sql", EXPIRE_BATCH)
            .fetch_one(&self.pool)
            .await?)
    }

    /// Gives back the leases of a worker that are not among `held`: of claims whose answer was lost, of drivers
    /// that failed. Returns how many.
    pub async fn give_back_strays(&self, worker_id: Uuid, held: &[i64]) -> Result<u64, StoreError> {
        let freed = sqlx::query!(
            "update queue set worker_id = null, lost = true, due_at = now()
             where worker_id = $1 and lease_epoch <> all ($2)",
            worker_id,
            held,
        )
        .execute(&self.pool)
        .await?;
        Ok(freed.rows_affected())
    }

    /// When the next execution without a holder falls due, if there is one.
    pub async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select min(due_at) as "due?" from queue where worker_id is null"#
        )
        .fetch_one(&self.pool)
        .await?)
    }
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Corrupt { what, source })
}
