//! Forks: executions that begin in the middle, with a part of another's history.

use chrono::Utc;
use engine::failure::Failure;
use engine::fork::{ForkOrder, ForkRefusal};
use engine::machine::{self, Kept, State, StepStatus};
use engine::plan::Plan;
use engine::searchable::Terms;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::executions::Execution;
use crate::leases::parse;
use crate::starts::array_text;
use crate::{Store, StoreError};

/// A fork to be started.
#[derive(Debug)]
pub struct NewFork {
    /// The new execution's id.
    pub id: Uuid,
    /// The execution whose history it takes over.
    pub of: Uuid,
    /// The version that it runs.
    pub version: i32,
    /// Its first state.
    pub state: State,
    /// Its input, as JSON text.
    pub input: String,
    /// What it is found by out of its input.
    pub terms: Terms,
}

impl Store {
    /// Makes a fork of an execution ready to be started, by the plan of the version that it is to run.
    pub async fn prepare_fork(
        &self,
        of: &Execution,
        order: &ForkOrder,
        plan: &Plan,
    ) -> Result<Result<NewFork, ForkRefusal>, StoreError> {
        let (from_step, input) = match order.apply(plan, of.input.clone()) {
            Ok(applied) => applied,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let records = match &order.from_step {
            Some(step) => self.records_before(of.id, step).await?,
            None => 0,
        };
        let kept = self.kept(of.id, records).await?;
        let fork = machine::Fork { of: of.id, from_step };
        let fresh = State::new(Utc::now(), plan.deadline_ms);
        Ok(Ok(NewFork {
            id: Uuid::now_v7(),
            of: of.id,
            version: plan.version,
            state: fresh.forked(fork, u32::try_from(records).unwrap_or(0), kept),
            terms: Terms::of(&plan.searchable, &input),
            input: input.to_string(),
        }))
    }

    /// How many lines of an execution's history come before a step's first one: all, if it has not come to the step.
    async fn records_before(&self, execution_id: Uuid, step: &str) -> Result<i32, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select coalesce(min(sequence) filter (where step_id = $2) - 1, max(sequence), 0) as "before!"
               from attempts
               where execution_id = $1"#,
            execution_id,
            step,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// What the first lines of a history leave of each step, in their order.
    async fn kept(&self, execution_id: Uuid, records: i32) -> Result<Vec<Kept>, StoreError> {
        let rows = sqlx::query!(
            r#"select step_id, status, attempt, failure::text
               from (
                   select distinct on (step_id) step_id, sequence, status, attempt, failure
                   from attempts
                   where execution_id = $1 and sequence <= $2
                   order by step_id, sequence desc
               ) last
               order by sequence"#,
            execution_id,
            records,
        )
        .fetch_all(&self.pool)
        .await?;
        let kept = rows.into_iter().map(|row| {
            let failure: Option<Failure> =
                row.failure.as_deref().map(|text| parse("failure", text)).transpose()?;
            Ok(Kept {
                step: row.step_id,
                status: status(&row.status),
                attempt: u32::try_from(row.attempt).unwrap_or(0),
                failure,
            })
        });
        kept.collect()
    }

    /// Starts a fork, with as many lines of the other's history as its state counts.
    pub async fn fork(&self, fork: &NewFork) -> Result<(), StoreError> {
        fork.start(&self.pool).await
    }
}

impl NewFork {
    pub(crate) async fn start(&self, executor: impl PgExecutor<'_>) -> Result<(), StoreError> {
        let state = serde_json::to_string(&self.state).expect("states always print as JSON");
        sqlx::query_file!(
            "queries/fork_execution.sql",
            self.id,
            self.of,
            self.version,
            i32::try_from(self.state.records).unwrap_or(i32::MAX),
            state as _,
            &self.input as _,
            array_text(&self.terms),
        )
        .execute(executor)
        .await?;
        Ok(())
    }
}

fn status(text: &str) -> StepStatus {
    match text {
        "succeeded" => StepStatus::Succeeded,
        "skipped" => StepStatus::Skipped,
        "cancelled" => StepStatus::Cancelled,
        _ => StepStatus::Failed,
    }
}
