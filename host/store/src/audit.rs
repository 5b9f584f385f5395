//! Decisions that somebody may ask about later: written in the transaction that carries them out.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::leases::parse;
use crate::{Store, StoreError};

/// A decision, to be put on record.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Who says that they made it.
    pub actor: &'a str,
    /// What was done, such as `plugin.approve`.
    pub action: &'a str,
    /// What it was done to.
    pub subject: &'a str,
    /// What belongs to it.
    pub detail: &'a Value,
}

/// A decision on record.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// Names the entry; begins with its time.
    pub id: Uuid,
    /// Who said that they made it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// What belongs to it.
    pub detail: Value,
    /// When.
    pub at: DateTime<Utc>,
}

/// Writes an entry with whatever else the transaction does.
pub(crate) async fn record(
    transaction: &mut sqlx::PgTransaction<'_>,
    namespace_id: i32,
    entry: &Entry<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into audit (id, namespace_id, actor, action, subject, detail)
         values ($1, $2, $3, $4, $5, $6::text::json)",
        Uuid::now_v7(),
        namespace_id,
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail.to_string(),
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl Store {
    /// Puts something on record that changes nothing in the database.
    pub async fn record(&self, namespace_id: i32, entry: &Entry<'_>) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        record(&mut transaction, namespace_id, entry).await?;
        Ok(transaction.commit().await?)
    }

    /// What is on record, newest first, before an entry if one is given.
    pub async fn audit(
        &self,
        namespace_id: i32,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Recorded>, StoreError> {
        let rows = sqlx::query!(
            r#"select id, actor, action, subject, detail::text as "detail!", at
               from audit
               where namespace_id = $1 and ($2::uuid is null or id < $2)
               order by id desc
               limit $3"#,
            namespace_id,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let recorded = rows.into_iter().map(|row| {
            Ok(Recorded {
                id: row.id,
                actor: row.actor,
                action: row.action,
                subject: row.subject,
                detail: parse("audit entry", &row.detail)?,
                at: row.at,
            })
        });
        recorded.collect()
    }
}
