//! Executions for which an action makes no sense: they are told nothing, and counted as skipped.
//!
//! The core would refuse the fact too, but only later, and where nobody would hear of it. What is seen here may have changed
//! by the time that the fact is read; then the core's refusal is the one that counts.

use std::collections::HashMap;

use engine::machine::Fact;
use uuid::Uuid;

use super::BulkStep;
use crate::StoreError;

/// What the judgement needs to know of an execution.
struct Target {
    status: String,
    /// It runs a part of another.
    is_block: bool,
    undone: bool,
    stopped: bool,
}

impl BulkStep {
    /// Of each execution why it makes no sense to tell it this, if so.
    pub(super) async fn senseless(
        &mut self,
        fact: &Fact,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let rows = sqlx::query!(
            r#"select id, status, block is not null as "is_block!",
                      coalesce((state ->> 'undone')::boolean, false) as "undone!",
                      state ->> 'stoppedAt' is not null as "stopped!"
               from executions where id = any ($1) and namespace_id = $2"#,
            &self.executions,
            self.namespace_id,
        )
        .fetch_all(&mut *self.transaction)
        .await?;
        let target =
            |status, is_block, undone, stopped| Target { status, is_block, undone, stopped };
        let known = rows
            .into_iter()
            .map(|row| (row.id, target(row.status, row.is_block, row.undone, row.stopped)));
        let known: HashMap<Uuid, Target> = known.collect();
        let judged = self.executions.iter().map(|id| match known.get(id) {
            Some(target) => target.refuses(fact).map(|why| format!("execution {id} {why}")),
            None => Some(format!("there is no execution {id}")),
        });
        Ok(judged.collect())
    }
}

impl Target {
    /// Why it makes no sense to tell it this, if so. To rest twice is no mistake, and whether what rests is to go on is
    /// not for the status to say: an attempt under way is left to end, and the execution seems to run until then.
    fn refuses(&self, fact: &Fact) -> Option<String> {
        let failed = matches!(self.status.as_str(), "failed" | "cancelled");
        let ended = failed || self.status == "succeeded";
        let again = matches!(fact, Fact::Retry | Fact::RetryStep { .. });
        match fact {
            Fact::Cancel { .. } | Fact::Pause { .. } | Fact::Resume if ended => {
                Some(format!("has already ended as {}", self.status))
            }
            _ if !again => None,
            _ if self.status == "succeeded" => Some("has succeeded".to_owned()),
            _ if !failed => Some(format!("is {}, and has not failed", self.status)),
            _ if self.is_block => Some("is a part of another".to_owned()),
            Fact::RetryStep { .. } if self.undone => {
                Some("was undone: retry it from its start".to_owned())
            }
            Fact::RetryStep { step: None } if !self.stopped => {
                Some("did not stop at a step".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUSES: [&str; 7] =
        ["pending", "running", "waiting", "paused", "succeeded", "failed", "cancelled"];

    fn target(status: &str) -> Target {
        Target { status: status.to_owned(), is_block: false, undone: false, stopped: true }
    }

    /// The statuses in which the fact makes sense.
    fn sensible(fact: &Fact) -> Vec<&'static str> {
        STATUSES.into_iter().filter(|it| target(it).refuses(fact).is_none()).collect()
    }

    #[test]
    fn what_has_not_ended_can_be_stopped_and_what_has_not_succeeded_can_be_retried() {
        for fact in [Fact::Cancel { reason: None }, Fact::Pause { reason: None }, Fact::Resume] {
            assert_eq!(sensible(&fact), STATUSES[..4], "{fact:?}");
        }
        for fact in [Fact::Retry, Fact::RetryStep { step: None }] {
            assert_eq!(sensible(&fact), ["failed", "cancelled"], "{fact:?}");
        }
    }

    #[test]
    fn parts_and_what_was_undone_or_stopped_nowhere_are_not_retried() {
        let step = Fact::RetryStep { step: None };
        let part = Target { is_block: true, ..target("failed") };
        assert_eq!(part.refuses(&Fact::Retry).as_deref(), Some("is a part of another"));
        assert!(part.refuses(&step).is_some());
        for broken in [
            Target { undone: true, ..target("failed") },
            Target { stopped: false, ..target("failed") },
        ] {
            assert_eq!(broken.refuses(&Fact::Retry), None);
            assert!(broken.refuses(&step).is_some());
        }
    }
}
