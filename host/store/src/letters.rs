//! Facts on their way to executions, and whom that gives something to do.

use engine::machine::Fact;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::wakeups::Wakeups;

/// Facts and whom they are for.
#[derive(Default)]
pub(crate) struct Letters {
    execution_id: Vec<Uuid>,
    fact: Vec<String>,
}

impl Letters {
    pub(crate) fn add(&mut self, execution_id: Uuid, fact: &Fact) {
        self.execution_id.push(execution_id);
        self.fact.push(serde_json::to_string(fact).expect("facts always print as JSON"));
    }
}

/// Whom a transaction has given something to do.
#[derive(Default)]
pub(crate) struct Stirred {
    /// Executions that may be claimed.
    pub(crate) due: usize,
    /// Executions under lease whose holder has news.
    news: Vec<Uuid>,
    /// Messages that are to be delivered.
    pub(crate) messages: usize,
}

impl Stirred {
    /// Puts the facts into the inboxes of those that have not ended.
    pub(crate) async fn post(
        &mut self,
        connection: &mut PgConnection,
        letters: Letters,
    ) -> Result<(), StoreError> {
        if letters.fact.is_empty() {
            return Ok(());
        }
        let rows =
            sqlx::query_file!("queries/post_facts.sql", &letters.execution_id, &letters.fact)
                .fetch_all(connection)
                .await?;
        let (held, due): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.held);
        self.news.extend(held.into_iter().map(|row| row.execution_id));
        self.due += due.len();
        Ok(())
    }

    /// Once all is durable.
    pub(crate) fn tell(self, wakeups: &Wakeups) {
        if self.due > 0 {
            wakeups.work(self.due);
        }
        if self.messages > 0 {
            wakeups.messages();
        }
        self.news.into_iter().for_each(|id| wakeups.signalled(id));
    }
}
