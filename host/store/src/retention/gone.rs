//! Weeks that were taken off: what has changed in them after the look comes back, and the rest is dropped.

use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;

use super::Kind;
use super::pace::{pages, rest_from};
use crate::{Store, StoreError};

/// A week that was taken off.
struct Gone {
    kind: Kind,
    /// As its tables' names have it.
    day: String,
    looked_at: Option<DateTime<Utc>>,
}

impl Store {
    /// Drops what was taken off, week by week, at leisure. Returns how many there were. A process that ends in the middle
    /// leaves the rest to the next.
    pub async fn drop_detached(&self) -> Result<u64, StoreError> {
        let mut dropped = 0;
        while let Some(week) = self.gone_week().await? {
            if week.kind == Kind::Executions {
                self.bring_back_changed(&week).await?;
            }
            // The first table, by which a week is found, goes last.
            for table in week.kind.tables().iter().rev() {
                let began = Instant::now();
                let drop = format!("drop table if exists gone_{table}_{}", week.day);
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&self.pool).await?;
                rest_from(began).await;
            }
            dropped += 1;
        }
        Ok(dropped)
    }

    async fn gone_week(&self) -> Result<Option<Gone>, StoreError> {
        let row = sqlx::query!(
            r#"select c.relname like 'gone\_executions\_%' as "is_of_executions!", right(c.relname, 8) as "day!",
                      obj_description(c.oid)::timestamptz as looked_at
               from pg_class c
               where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
                 and c.relname ~ '^gone_(executions|messages)_\d{8}$'
               order by c.relname
               limit 1"#
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Gone {
            kind: if row.is_of_executions { Kind::Executions } else { Kind::Messages },
            day: row.day,
            looked_at: row.looked_at,
        }))
    }

    /// An execution that was run again after it was looked at and before the week was off goes back.
    async fn bring_back_changed(&self, week: &Gone) -> Result<(), StoreError> {
        let blocks = self.blocks(&format!("gone_executions_{}", week.day)).await?;
        for (from, to) in pages(blocks) {
            let began = Instant::now();
            sqlx::query!("select bring_back($1, $2, $3, $4)", week.day, week.looked_at, from, to)
                .execute(&self.pool)
                .await?;
            rest_from(began).await;
        }
        Ok(())
    }

    pub(super) async fn blocks(&self, table: &str) -> Result<i64, StoreError> {
        let blocks = sqlx::query_scalar!(r#"select blocks_of($1) as "blocks!""#, table);
        Ok(blocks.fetch_one(&self.pool).await?)
    }
}
