//! Single executions and messages past their time: found page by page in the order of ids, deleted in small batches.

use uuid::Uuid;

use super::{Kind, Retention, interval};
use crate::{Store, StoreError};

/// Rows looked at in one go.
const PAGE: i64 = 2_000;

/// A page of what there is, in the order of ids.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What may go.
    pub due: Vec<Uuid>,
    /// The last that was looked at; none if there is nothing more.
    pub last: Option<Uuid>,
}

impl Store {
    /// A page of ids after `after` and before `to`.
    pub async fn retention_page(
        &self,
        kind: Kind,
        (after, to): (Uuid, Uuid),
        retention: &Retention,
    ) -> Result<Page, StoreError> {
        let rows: Vec<(Uuid, bool)> = match kind {
            Kind::Executions => sqlx::query_file!(
                "queries/due_executions.sql",
                after,
                to,
                PAGE,
                interval(retention.succeeded),
                interval(retention.failed),
                interval(retention.cancelled),
                interval(retention.dead_letters),
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|row| (row.id, row.due))
            .collect(),
            Kind::Messages => sqlx::query_file!(
                "queries/due_messages.sql",
                after,
                to,
                PAGE,
                interval(retention.events),
            )
            .fetch_all(&self.pool)
            .await?
            .into_iter()
            .map(|row| (row.id, row.due))
            .collect(),
        };
        let last = rows.last().map(|(id, _)| *id);
        Ok(Page { due: rows.into_iter().filter_map(|(id, due)| due.then_some(id)).collect(), last })
    }

    /// Where the pages end: the smallest id of what has to stay in any case. `None` if everything has.
    pub async fn retention_end(
        &self,
        kind: Kind,
        retention: &Retention,
    ) -> Result<Option<Uuid>, StoreError> {
        let Some(end) = self.oldest_kept(kind, retention).await? else { return Ok(None) };
        Ok(Some(
            sqlx::query_scalar!(r#"select uuid_at($1) as "end!""#, end)
                .fetch_one(&self.pool)
                .await?,
        ))
    }

    /// Deletes what a page found due, with what hangs on it. Returns how many there were.
    pub async fn delete_past(&self, kind: Kind, ids: &[Uuid]) -> Result<u64, StoreError> {
        let count = match kind {
            Kind::Executions => {
                sqlx::query_file_scalar!("queries/delete_executions.sql", ids)
                    .fetch_one(&self.pool)
                    .await?
            }
            Kind::Messages => {
                let done = sqlx::query!(
                    "delete from messages m
                     where m.id = any ($1) and m.delivered
                       and not exists (select from queue q where q.execution_id = m.execution_id)",
                    ids,
                )
                .execute(&self.pool)
                .await?;
                i64::try_from(done.rows_affected()).unwrap_or(i64::MAX)
            }
        };
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
