//! Executions for which an action makes no sense: they are told nothing, and counted as skipped.
//!
//! The transition would refuse the fact too, but only later, and where nobody would hear of it.

use std::collections::HashMap;

use engine::machine::{Fact, Objection, State};
use uuid::Uuid;

use super::BulkStep;
use crate::StoreError;
use crate::leases::parse;

impl BulkStep {
    /// Of each execution why it makes no sense to tell it this, if so.
    pub(super) async fn senseless(
        &mut self,
        fact: &Fact,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let rows = sqlx::query!(
            r#"select id, state::text as "state!", block is not null as "is_block!"
               from executions where id = any ($1) and namespace_id = $2"#,
            &self.executions,
            self.namespace_id,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        // One that cannot be read must not keep the others from being told.
        let why = |state: &str, is_block| match parse::<State>("state", state) {
            Ok(state) => {
                state.objection(fact, is_block).filter(|it| matters(*it)).map(|it| it.to_string())
            }
            Err(error) => Some(format!("cannot be read: {error}")),
        };
        let known = rows.iter().map(|row| (row.id, why(&row.state, row.is_block)));
        let known: HashMap<Uuid, Option<String>> = known.collect();
        let judged = self.executions.iter().map(|id| match known.get(id) {
            Some(why) => why.as_ref().map(|why| format!("execution {id} {why}")),
            None => Some(format!("there is no execution {id}")),
        });
        Ok(judged.collect())
    }
}

/// To rest twice is no mistake among many, nor is to go on twice; and what was told to rest a moment ago may not have
/// heard of it yet.
fn matters(objection: Objection) -> bool {
    !matches!(objection, Objection::AlreadyPaused | Objection::NotPaused(_))
}
