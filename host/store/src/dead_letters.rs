//! Failed executions that wait for somebody to look at them.

use chrono::{DateTime, Utc};
use engine::failure::Failure;
use serde_json::Value;
use uuid::Uuid;

use crate::audit::{self, Entry};
use crate::leases::parse;
use crate::listing::Filter;
use crate::{Store, StoreError};

/// A failed execution that waits for somebody to look at it.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The execution.
    pub id: Uuid,
    /// The workflow's name.
    pub workflow: String,
    /// The version.
    pub version: i32,
    /// The step at which it stopped; none if it failed between its steps.
    pub step: Option<String>,
    /// Why.
    pub failure: Option<Failure>,
    /// What it was labelled with.
    pub labels: Value,
    /// When it failed.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Dead letters of a kind.
#[derive(Clone, Debug)]
pub struct DeadLetterKind {
    /// The workflow's name.
    pub workflow: String,
    /// The error code.
    pub code: String,
    /// How many.
    pub executions: i64,
    /// The oldest execution.
    pub first: Uuid,
    /// The newest.
    pub last: Uuid,
}

impl Store {
    /// One page, newest first, of what workflow, error code and times narrow it to.
    pub async fn dead_letters(
        &self,
        namespace_id: i32,
        filter: &Filter,
        limit: i64,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let rows = sqlx::query_file!(
            "queries/list_dead_letters.sql",
            namespace_id,
            filter.workflow_id,
            filter.error,
            filter.since,
            filter.until,
            filter.before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let letters = rows.into_iter().map(|row| {
            let failure = row.failure.as_deref().map(|text| parse("failure", text)).transpose()?;
            Ok(DeadLetter {
                id: row.id,
                workflow: row.workflow,
                version: row.version,
                step: row.step,
                failure,
                labels: row.labels,
                finished_at: row.finished_at,
            })
        });
        letters.collect()
    }

    /// The newest ten thousand by workflow and error code.
    pub async fn dead_letter_kinds(
        &self,
        namespace_id: i32,
    ) -> Result<Vec<DeadLetterKind>, StoreError> {
        Ok(sqlx::query_file_as!(DeadLetterKind, "queries/dead_letter_kinds.sql", namespace_id)
            .fetch_all(&self.pool)
            .await?)
    }

    /// Takes executions off the list of dead letters, and puts that on record; they stay failed. Returns how many were on
    /// it.
    pub async fn purge_dead_letters(
        &self,
        namespace_id: i32,
        executions: &[Uuid],
        entry: &Entry<'_>,
    ) -> Result<u64, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let done = sqlx::query!(
            "update executions set dead_letter = false
             where namespace_id = $1 and id = any($2) and dead_letter",
            namespace_id,
            executions,
        )
        .execute(&mut *transaction)
        .await?;
        audit::record(&mut transaction, namespace_id, entry).await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}
