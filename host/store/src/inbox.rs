//! The inbox: how anyone but the lease holder tells an execution something.

use engine::machine::Fact;
use uuid::Uuid;

use crate::leases::parse;
use crate::{Store, StoreError};

/// A fact as it lies in the inbox.
#[derive(Debug)]
pub struct Posted {
    /// Its number, for consuming it.
    pub id: i64,
    /// The fact.
    pub fact: Fact,
}

impl Store {
    /// Puts a fact into an execution's inbox. Returns the worker that holds its lease, if one does.
    pub async fn post_fact(
        &self,
        namespace_id: i32,
        execution_id: Uuid,
        fact: &Fact,
    ) -> Result<Option<Uuid>, StoreError> {
        let fact = serde_json::to_string(fact).expect("facts always print as JSON");
        Ok(sqlx::query_file_scalar!("queries/post_fact.sql", namespace_id, execution_id, fact as _)
            .fetch_one(&self.pool)
            .await?)
    }

    /// The facts in an execution's inbox, oldest first, and how many have been posted so far.
    pub async fn read_inbox(&self, execution_id: Uuid) -> Result<(Vec<Posted>, i32), StoreError> {
        let rows = sqlx::query!(
            r#"select q.signals, i.id as "id?", i.fact::text as "fact?"
               from queue q
               left join inbox i on i.execution_id = q.execution_id
               where q.execution_id = $1
               order by i.id"#,
            execution_id,
        )
        .fetch_all(&self.pool)
        .await?;
        let signals = rows.first().map_or(0, |row| row.signals);
        let mut posted = Vec::new();
        for row in rows {
            if let (Some(id), Some(fact)) = (row.id, row.fact) {
                posted.push(Posted { id, fact: parse("fact", &fact)? });
            }
        }
        Ok((posted, signals))
    }

    /// Which of a worker's executions have facts in their inbox.
    pub async fn signalled(&self, worker_id: Uuid) -> Result<Vec<Uuid>, StoreError> {
        let rows = sqlx::query_scalar!(
            r#"select distinct i.execution_id as "id!"
               from inbox i
               join queue q on q.execution_id = i.execution_id
               where q.worker_id = $1"#,
            worker_id,
        );
        Ok(rows.fetch_all(&self.pool).await?)
    }
}
