//! Finished blobs that nothing refers to. References are texts anywhere in JSON, so finding them means reading: week by week,
//! and only while there is a blob that may go. A blob goes if two looks, as far apart as the setting says, find nothing, and
//! nobody has sent its bytes again in between.

use std::collections::BTreeSet;

use super::{Kind, Retention, Week, interval};
use crate::{Store, StoreError};

/// Whose, and the digest in hexadecimal.
pub type Reference = (i32, String);

impl Store {
    /// Whether any finished blob is old enough to be looked for.
    pub async fn any_blob_may_go(&self, retention: &Retention) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select exists (
                   select from blobs where digest is not null and created_at < now() - $1::interval) as "it!""#,
            interval(retention.blobs),
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// What the history refers to, between two ids of a week; without a week, what everything else does.
    pub async fn blob_references(
        &self,
        week: Option<&Week>,
    ) -> Result<BTreeSet<Reference>, StoreError> {
        let rows: Vec<(i32, String)> = match week {
            Some(Week { kind: Kind::Executions, from, to, .. }) => {
                sqlx::query_file!("queries/blob_references_of_executions.sql", from, to)
                    .fetch_all(&self.pool)
                    .await?
                    .into_iter()
                    .map(|row| (row.namespace_id, row.digest))
                    .collect()
            }
            Some(Week { kind: Kind::Messages, from, to, .. }) => {
                sqlx::query_file!("queries/blob_references_of_messages.sql", from, to)
                    .fetch_all(&self.pool)
                    .await?
                    .into_iter()
                    .map(|row| (row.namespace_id, row.digest))
                    .collect()
            }
            None => sqlx::query_file!("queries/blob_references_elsewhere.sql")
                .fetch_all(&self.pool)
                .await?
                .into_iter()
                .map(|row| (row.namespace_id, row.digest))
                .collect(),
        };
        Ok(rows.into_iter().collect())
    }

    /// Notes what is not referred to, and deletes what was not the last times either. Returns how many went.
    pub async fn delete_unreferenced_blobs(
        &self,
        referenced: &BTreeSet<Reference>,
        retention: &Retention,
    ) -> Result<u64, StoreError> {
        let namespaces: Vec<_> = referenced.iter().map(|it| it.0).collect();
        let digests: Vec<_> = referenced.iter().map(|it| it.1.clone()).collect();
        let gone = sqlx::query_file_scalar!(
            "queries/delete_unreferenced_blobs.sql",
            &namespaces,
            &digests,
            interval(retention.blobs),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(gone).unwrap_or(0))
    }
}
