//! Reading executions: one, a list, its history, its logs.

use chrono::{DateTime, Utc};
use engine::failure::Failure;
use engine::machine::State;
use serde_json::Value;
use uuid::Uuid;

use crate::families::Kinship;
use crate::leases::parse;
use crate::{Store, StoreError};

/// An execution, as a reader sees it.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Its id.
    pub id: Uuid,
    /// Who owns it.
    pub namespace_id: i32,
    /// The workflow's id.
    pub workflow_id: Uuid,
    /// The workflow's name.
    pub workflow: String,
    /// The version that it runs.
    pub version: i32,
    /// `pending`, `running`, …
    pub status: String,
    /// What the machine remembers, without outputs.
    pub state: State,
    /// What it was started with.
    pub input: Value,
    /// Its labels.
    pub labels: Value,
    /// What it gave.
    pub output: Option<Value>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// When a worker first wrote its state.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Where it belongs, if another execution has begun it.
    pub kinship: Option<Kinship>,
    /// It has failed, and waits for somebody to look at it.
    pub dead_letter: bool,
}

/// A line of an execution's history.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Position in the history, from 1.
    pub sequence: i32,
    /// The step.
    pub step_id: String,
    /// The attempt's number; 0 for a skipped step.
    pub attempt: i32,
    /// `succeeded`, `failed`, `skipped` or `cancelled`.
    pub status: String,
    /// Who ran it.
    pub worker_id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// The step's output.
    pub output: Option<Value>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// A step's newest output.
#[derive(Clone, Debug)]
pub struct StepOutput {
    /// The step.
    pub step_id: String,
    /// The output's size as JSON text.
    pub bytes: i32,
    /// The output, if it is not too large.
    pub output: Option<Value>,
}

/// A line of an execution's log.
#[derive(Clone, Debug)]
pub struct Log {
    /// The place of its attempt in the history.
    pub sequence: i32,
    /// Its place among the attempt's lines.
    pub line: i32,
    /// The step.
    pub step_id: String,
    /// The attempt.
    pub attempt: i32,
    /// `trace` to `error`.
    pub level: String,
    /// The text.
    pub message: String,
    /// Facts beside the text.
    pub fields: Option<Value>,
    /// When its attempt ended.
    pub logged_at: DateTime<Utc>,
}

/// A result that came after its lease was gone.
#[derive(Clone, Debug)]
pub struct LateResult {
    /// The step.
    pub step_id: String,
    /// The attempt.
    pub attempt: i32,
    /// What the attempt came to.
    pub status: String,
    /// Who brought it.
    pub worker_id: Uuid,
    /// Under which lease.
    pub lease_epoch: i64,
    /// When it was refused.
    pub recorded_at: DateTime<Utc>,
}

/// How far an execution is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Its status.
    pub status: String,
    /// How long its history is.
    pub records: i32,
    /// Nothing will come any more, unless somebody retries it.
    pub ended: bool,
}

/// An execution's place in the queue.
#[derive(Clone, Debug)]
pub struct QueuePlace {
    /// When it falls due, if nobody holds it.
    pub due_at: DateTime<Utc>,
    /// Who holds it.
    pub worker_id: Option<Uuid>,
    /// Whether any worker is alive.
    pub workers_alive: bool,
}

impl Store {
    /// One execution.
    pub async fn execution(&self, namespace_id: i32, id: Uuid) -> Result<Execution, StoreError> {
        let row = sqlx::query!(
            r#"select e.id, e.namespace_id, e.workflow_id, w.name as workflow, e.version, e.status,
                      e.state::text as "state!", e.input::text as "input!", e.labels, e.output::text,
                      e.failure::text, e.started_at, e.finished_at, e.parent_id, e.visit, e.ordinal, e.block,
                      e.dead_letter
               from executions e
               join workflows w on w.id = e.workflow_id
               where e.id = $1 and e.namespace_id = $2"#,
            id,
            namespace_id,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("execution", id))?;
        Ok(Execution {
            id: row.id,
            namespace_id: row.namespace_id,
            workflow_id: row.workflow_id,
            workflow: row.workflow,
            version: row.version,
            status: row.status,
            state: parse("state", &row.state)?,
            input: parse("input", &row.input)?,
            labels: row.labels,
            output: optional("output", row.output.as_deref())?,
            failure: optional("failure", row.failure.as_deref())?,
            started_at: row.started_at,
            finished_at: row.finished_at,
            kinship: Kinship::of(row.parent_id, row.visit, row.ordinal, row.block),
            dead_letter: row.dead_letter,
        })
    }

    /// How far an execution is, without what it holds.
    pub async fn progress(&self, namespace_id: i32, id: Uuid) -> Result<Progress, StoreError> {
        sqlx::query_as!(
            Progress,
            r#"select status, records, finished_at is not null as "ended!"
               from executions where id = $1 and namespace_id = $2"#,
            id,
            namespace_id,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("execution", id))
    }

    /// The newest output of each step that succeeded; those above `max_bytes` only by their size.
    pub async fn step_outputs(
        &self,
        id: Uuid,
        max_bytes: i32,
    ) -> Result<Vec<StepOutput>, StoreError> {
        let rows = sqlx::query!(
            r#"select distinct on (step_id) step_id, octet_length(output::text) as "bytes!",
                      case when octet_length(output::text) <= $2 then output::text end as output
               from attempts
               where execution_id = $1 and status = 'succeeded'
               order by step_id, sequence desc"#,
            id,
            max_bytes,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let output = optional("output", row.output.as_deref())?;
                Ok(StepOutput { step_id: row.step_id, bytes: row.bytes, output })
            })
            .collect()
    }

    /// An execution's history from after a position on, oldest first.
    pub async fn attempts(
        &self,
        id: Uuid,
        after: i32,
        limit: i64,
    ) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query!(
            r#"select sequence, step_id, attempt, status, worker_id, started_at, finished_at, output::text,
                      failure::text
               from attempts where execution_id = $1 and sequence > $2 order by sequence limit $3"#,
            id,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Attempt {
                    sequence: row.sequence,
                    step_id: row.step_id,
                    attempt: row.attempt,
                    status: row.status,
                    worker_id: row.worker_id,
                    started_at: row.started_at,
                    finished_at: row.finished_at,
                    output: optional("output", row.output.as_deref())?,
                    failure: optional("failure", row.failure.as_deref())?,
                })
            })
            .collect()
    }

    /// An execution's log lines from after a position on, oldest first.
    pub async fn logs(
        &self,
        id: Uuid,
        after: (i32, i32),
        limit: i64,
    ) -> Result<Vec<Log>, StoreError> {
        let rows = sqlx::query!(
            r#"with logged as (
                   select sequence, step_id, attempt, logs, finished_at as logged_at
                   from attempts
                   where execution_id = $1 and sequence >= $2
                   union all
                   select sequence, step_id, attempt, logs, shown_at
                   from live_logs under_way
                   where execution_id = $1 and not exists (
                       select from attempts ended
                       where ended.execution_id = $1 and ended.sequence = under_way.sequence))
               select a.sequence as "sequence!", l.line::integer as "line!", a.step_id as "step_id!",
                      a.attempt as "attempt!", l.value ->> 'level' as "level!",
                      l.value ->> 'message' as "message!", l.value ->> 'fields' as fields,
                      a.logged_at as "logged_at!"
               from logged a
               cross join lateral json_array_elements(a.logs) with ordinality as l (value, line)
               where (a.sequence, l.line) > ($2, $3)
               order by a.sequence, l.line
               limit $4"#,
            id,
            after.0,
            i64::from(after.1),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Log {
                    sequence: row.sequence,
                    line: row.line,
                    step_id: row.step_id,
                    attempt: row.attempt,
                    level: row.level,
                    message: row.message,
                    fields: optional("fields", row.fields.as_deref())?,
                    logged_at: row.logged_at,
                })
            })
            .collect()
    }

    /// What came too late for an execution, oldest first.
    pub async fn late_results(&self, id: Uuid) -> Result<Vec<LateResult>, StoreError> {
        Ok(sqlx::query_as!(
            LateResult,
            "select step_id, attempt, status, worker_id, lease_epoch, recorded_at
             from late_results where execution_id = $1 order by id limit 1000",
            id,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Where an execution stands in the queue; `None` once it has ended.
    pub async fn queue_place(&self, id: Uuid) -> Result<Option<QueuePlace>, StoreError> {
        Ok(sqlx::query_as!(
            QueuePlace,
            r#"select due_at, worker_id,
                      exists (select from workers where lease_until > now()) as "workers_alive!"
               from queue where execution_id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}

fn optional<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| parse(what, text)).transpose()
}
