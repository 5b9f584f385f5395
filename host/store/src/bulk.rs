//! Actions on many executions, carried out bit by bit, and failures of a kind.

use chrono::{DateTime, Utc};
use engine::machine::Fact;
use serde_json::Value;
use uuid::Uuid;

use crate::executions::Filter;
use crate::leases::parse;
use crate::letters::{Letters, Stirred};
use crate::wakeups::Wakeups;
use crate::{Store, StoreError};

/// Executions that one step of an action reaches.
const STEP: i32 = 500;

/// An action on many executions, to begin.
#[derive(Clone, Debug)]
pub struct NewBulkAction {
    /// A fresh `UUIDv7`.
    pub id: Uuid,
    /// Who owns them.
    pub namespace_id: i32,
    /// What each is told.
    pub fact: Fact,
    /// What was asked for, as it was.
    pub request: Value,
    /// Executions a second.
    pub rate: Option<i32>,
    /// How many come first.
    pub canary: i32,
    /// The part of them that may fail before it stops, from 0 to 1.
    pub stop_above: Option<f64>,
    /// The executions.
    pub executions: Vec<Uuid>,
}

/// An action, and how far it has come.
#[derive(Clone, Debug)]
pub struct BulkAction {
    /// Its id.
    pub id: Uuid,
    /// What was asked for.
    pub request: Value,
    /// `running`, `done` or `stopped`.
    pub status: String,
    /// How many executions it is for.
    pub matched: i32,
    /// How many it has come to.
    pub acted: i32,
    /// How many of those have ended badly since.
    pub failed: i64,
    /// Why it stopped.
    pub message: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Failures of a kind: the same step of the same version, with the same code and plugin.
#[derive(Clone, Debug)]
pub struct Incident {
    /// The workflow's name.
    pub workflow: String,
    /// The version.
    pub version: i32,
    /// The step at which they stopped.
    pub step: Option<String>,
    /// The failure's code.
    pub code: Option<String>,
    /// The digest of the step's plugin, if it is one.
    pub plugin_digest: Option<String>,
    /// How many there are.
    pub executions: i64,
    /// The first.
    pub first: Uuid,
    /// The last.
    pub last: Uuid,
    /// What the last one said.
    pub message: Option<String>,
}

impl Store {
    /// The ids of what a filter finds, newest first.
    pub async fn matching(
        &self,
        namespace_id: i32,
        filter: &Filter,
        limit: i64,
    ) -> Result<Vec<Uuid>, StoreError> {
        let found = self.executions(namespace_id, filter, limit).await?;
        Ok(found.into_iter().map(|it| it.id).collect())
    }

    /// Begins an action. Workers carry it out.
    pub async fn begin_bulk_action(&self, new: &NewBulkAction) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "insert into bulk_actions (id, namespace_id, fact, request, rate, canary, stop_above, matched)
             values ($1, $2, $3::text::json, $4::text::json, $5, $6, $7, $8)",
            new.id,
            new.namespace_id,
            serde_json::to_string(&new.fact).expect("facts always print as JSON"),
            new.request.to_string(),
            new.rate,
            new.canary,
            new.stop_above,
            i32::try_from(new.executions.len()).unwrap_or(i32::MAX),
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "insert into bulk_items (action_id, number, execution_id)
             select $1, number, id from unnest($2::uuid[]) with ordinality as i (id, number)",
            new.id,
            &new.executions,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// An action, and how far it has come.
    pub async fn bulk_action(&self, namespace_id: i32, id: Uuid) -> Result<BulkAction, StoreError> {
        let row = sqlx::query_file!("queries/bulk_action.sql", id, namespace_id)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::not_found("bulk action", id))?;
        Ok(BulkAction {
            id,
            request: parse("request", &row.request)?,
            status: row.status,
            matched: row.matched,
            acted: row.acted,
            failed: row.failed,
            message: row.message,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }

    /// Takes one step of an action that is under way and that nobody else steps just now. Returns whether there may be
    /// more to do at once; `None` if none is under way.
    pub async fn step_bulk_action(&self, wakeups: &Wakeups) -> Result<Option<bool>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let action = sqlx::query_file!("queries/step_bulk_action.sql", STEP)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(action) = action else { return Ok(None) };
        if let Some(message) = action.stop {
            finish(&mut transaction, action.id, "stopped", Some(&message)).await?;
            transaction.commit().await?;
            return Ok(Some(true));
        }
        let due = sqlx::query_scalar!(
            "select execution_id from bulk_items where action_id = $1 and number > $2 and number <= $2 + $3
             order by number",
            action.id,
            action.acted,
            action.due,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let fact: Fact = parse("fact", &action.fact)?;
        let mut letters = Letters::default();
        for id in &due {
            letters.add(*id, &fact);
        }
        // What has ended has no place in the queue; a retry needs one.
        sqlx::query!(
            "insert into queue (execution_id, namespace_id, due_at)
             select id, namespace_id, now() from executions where id = any ($1)
             on conflict do nothing",
            &due,
        )
        .execute(&mut *transaction)
        .await?;
        let mut stirred = Stirred::default();
        stirred.post(&mut transaction, letters).await?;
        let count = i32::try_from(due.len()).unwrap_or(i32::MAX);
        sqlx::query!(
            "update bulk_actions set acted = acted + $2, acted_at = now() where id = $1 and $2 > 0",
            action.id,
            count,
        )
        .execute(&mut *transaction)
        .await?;
        if action.acted + count >= action.matched {
            finish(&mut transaction, action.id, "done", None).await?;
        }
        transaction.commit().await?;
        stirred.tell(wakeups);
        Ok(Some(count == STEP))
    }

    /// Whether there are messages to deliver, and actions to step.
    pub async fn errands(&self) -> Result<(bool, bool), StoreError> {
        let row = sqlx::query!(
            r#"select exists (select from messages where not delivered) as "messages!",
                      exists (select from bulk_actions where status = 'running') as "actions!""#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.messages, row.actions))
    }

    /// Failures by kind, the most frequent first.
    pub async fn incidents(
        &self,
        namespace_id: i32,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<Incident>, StoreError> {
        Ok(sqlx::query_file_as!(Incident, "queries/list_incidents.sql", namespace_id, since, limit)
            .fetch_all(&self.pool)
            .await?)
    }
}

async fn finish(
    connection: &mut sqlx::PgConnection,
    id: Uuid,
    status: &str,
    message: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update bulk_actions set status = $2, message = $3, finished_at = now() where id = $1",
        id,
        status,
        message,
    )
    .execute(connection)
    .await?;
    Ok(())
}
