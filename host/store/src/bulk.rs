//! Actions on many executions, carried out bit by bit, and failures of a kind.

mod skipping;

use chrono::{DateTime, Utc};
use engine::fork::ForkOrder;
use engine::machine::Fact;
use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use crate::forks::NewFork;
use crate::leases::parse;
use crate::letters::{Letters, Stirred};
use crate::listing::Filter;
use crate::wakeups::Wakeups;
use crate::{Store, StoreError};

/// Executions that one step of an action reaches.
const STEP: i32 = 500;
/// Forks that one step of an action makes: each is looked up, and held with its input.
const FORK_STEP: i32 = 50;

/// What is done to each execution.
#[derive(Clone, Debug)]
pub enum BulkOrder {
    /// It is told something.
    Tell(Fact),
    /// It is forked.
    Fork(ForkOrder),
}

/// An action on many executions, to begin.
#[derive(Clone, Debug)]
pub struct NewBulkAction {
    /// A fresh `UUIDv7`.
    pub id: Uuid,
    /// Who owns them.
    pub namespace_id: i32,
    /// What is done to each.
    pub order: BulkOrder,
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
    /// How many of those were told nothing, because it would have made no sense.
    pub skipped: i64,
    /// How many of the others, or of their forks, have ended badly since; and how many could not be forked.
    pub failed: i64,
    /// The first forks that it has made.
    pub forks: Vec<Uuid>,
    /// Why it stopped, or why some were skipped or could not be forked.
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

/// The newest failures, by kind.
#[derive(Clone, Debug)]
pub struct Incidents {
    /// The most frequent first.
    pub kinds: Vec<Incident>,
    /// How many failures they are of.
    pub looked_at: i64,
}

/// Failures that are grouped by kind: the newest. A million of them take no longer.
pub const MAX_GROUPED: i64 = 2_000;

impl Store {
    /// The ids of what a filter finds, newest first.
    pub async fn matching(
        &self,
        namespace_id: i32,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Uuid>, StoreError> {
        let found = self.executions(namespace_id, filter, limit).await?;
        Ok(found.into_iter().map(|it| it.id).collect())
    }

    /// Begins an action. Workers carry it out.
    pub async fn begin_bulk_action(&self, new: &NewBulkAction) -> Result<(), StoreError> {
        let (fact, fork) = match &new.order {
            BulkOrder::Tell(fact) => (Some(json_text(fact)), None),
            BulkOrder::Fork(order) => (None, Some(json_text(order))),
        };
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "insert into bulk_actions (id, namespace_id, fact, fork, request, rate, canary, stop_above, matched)
             values ($1, $2, $3::text::json, $4::text::json, $5::text::json, $6, $7, $8, $9)",
            new.id,
            new.namespace_id,
            fact,
            fork,
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
            skipped: row.skipped,
            failed: row.failed,
            forks: row.forks,
            message: row.message,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }

    /// The next step of an action that is under way and that nobody else steps just now; `None` if there is none. The
    /// step of an action of which too many have failed is for none, and stops it.
    pub async fn next_bulk_step(&self) -> Result<Option<BulkStep>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let action = sqlx::query_file!("queries/step_bulk_action.sql", STEP, FORK_STEP)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(action) = action else { return Ok(None) };
        let order = match (&action.fact, &action.fork) {
            (Some(fact), _) => BulkOrder::Tell(parse("fact", fact)?),
            (None, fork) => BulkOrder::Fork(parse("fork", fork.as_deref().unwrap_or("{}"))?),
        };
        let due = if action.stop.is_some() { 0 } else { action.due };
        let executions = sqlx::query_scalar!(
            "select execution_id from bulk_items where action_id = $1 and number > $2 and number <= $2 + $3
             order by number",
            action.id,
            action.acted,
            due,
        )
        .fetch_all(&mut *transaction)
        .await?;
        Ok(Some(BulkStep {
            transaction,
            action_id: action.id,
            namespace_id: action.namespace_id,
            order,
            executions,
            acted: action.acted,
            matched: action.matched,
            most: action.most,
            stop: action.stop,
        }))
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

    /// The newest [`MAX_GROUPED`] failures by kind: so many kinds, the most frequent first.
    pub async fn incidents(
        &self,
        namespace_id: i32,
        since: DateTime<Utc>,
        limit: i64,
    ) -> Result<Incidents, StoreError> {
        let rows = sqlx::query_file!(
            "queries/list_incidents.sql",
            namespace_id,
            since,
            limit,
            MAX_GROUPED
        )
        .fetch_all(&self.pool)
        .await?;
        let looked_at = rows.first().map_or(0, |row| row.looked_at);
        let kinds = rows.into_iter().map(|row| Incident {
            workflow: row.workflow,
            version: row.version,
            step: row.step,
            code: row.code,
            plugin_digest: row.plugin_digest,
            executions: row.executions,
            first: row.first,
            last: row.last,
            message: row.message,
        });
        Ok(Incidents { kinds: kinds.collect(), looked_at })
    }
}

/// A step of an action. The action is locked while this is there: what the step does and how far the action has come are
/// one commit, so whoever goes on with it does nothing twice.
#[derive(Debug)]
pub struct BulkStep {
    transaction: Transaction<'static, Postgres>,
    action_id: Uuid,
    /// Who owns the executions.
    pub namespace_id: i32,
    /// What is done to each.
    pub order: BulkOrder,
    /// The executions that are due.
    pub executions: Vec<Uuid>,
    acted: i32,
    matched: i32,
    most: i32,
    stop: Option<String>,
}

impl BulkStep {
    /// Tells something to the executions for which it makes sense, and notes why not to the others. Returns whether there
    /// may be more to do at once.
    pub async fn tell(mut self, fact: &Fact, wakeups: &Wakeups) -> Result<bool, StoreError> {
        let refusals = self.senseless(fact).await?;
        let told = self.executions.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none());
        let told: Vec<_> = told.map(|(id, _)| *id).collect();
        if told.len() < refusals.len() {
            let forks = vec![None; refusals.len()];
            self.note(&forks, &refusals).await?;
        }
        let mut letters = Letters::default();
        for id in &told {
            letters.add(*id, fact);
        }
        // What has ended has no place in the queue; a retry needs one.
        sqlx::query!(
            "insert into queue (execution_id, namespace_id, due_at)
             select id, namespace_id, now() from executions where id = any ($1)
             on conflict do nothing",
            &told,
        )
        .execute(&mut *self.transaction)
        .await?;
        let mut stirred = Stirred::default();
        stirred.post(&mut self.transaction, letters).await?;
        let more = self.advance().await?;
        stirred.tell(wakeups);
        Ok(more)
    }

    /// Starts forks, one for each execution, or notes why there is none. Returns whether there may be more to do at once.
    pub async fn fork(
        mut self,
        forks: &[Result<NewFork, String>],
        wakeups: &Wakeups,
    ) -> Result<bool, StoreError> {
        for fork in forks.iter().flatten() {
            fork.start(&mut *self.transaction).await?;
        }
        let ids: Vec<_> = forks.iter().map(|it| it.as_ref().ok().map(|fork| fork.id)).collect();
        let refusals: Vec<_> = forks.iter().map(|it| it.as_ref().err().cloned()).collect();
        self.note(&ids, &refusals).await?;
        let more = self.advance().await?;
        wakeups.work(ids.iter().flatten().count());
        Ok(more)
    }

    /// Notes what became of each execution.
    async fn note(
        &mut self,
        forks: &[Option<Uuid>],
        refusals: &[Option<String>],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update bulk_items i set fork_id = f.id, refusal = f.refusal
             from unnest($3::uuid[], $4::text[]) with ordinality as f (id, refusal, place)
             where i.action_id = $1 and i.number = $2::integer + f.place::integer",
            self.action_id,
            self.acted,
            forks as &[Option<Uuid>],
            refusals as &[Option<String>],
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    async fn advance(mut self) -> Result<bool, StoreError> {
        let count = i32::try_from(self.executions.len()).unwrap_or(i32::MAX);
        sqlx::query!(
            "update bulk_actions set acted = acted + $2, acted_at = now() where id = $1 and $2 > 0",
            self.action_id,
            count,
        )
        .execute(&mut *self.transaction)
        .await?;
        let stopped = self.stop.is_some();
        if stopped {
            finish(&mut self.transaction, self.action_id, "stopped", self.stop.as_deref()).await?;
        } else if self.acted + count >= self.matched {
            let what = match self.order {
                BulkOrder::Tell(_) => "skipped",
                BulkOrder::Fork(_) => "could not be forked",
            };
            let refused = refusals(&mut self.transaction, self.action_id, what).await?;
            finish(&mut self.transaction, self.action_id, "done", refused.as_deref()).await?;
        }
        self.transaction.commit().await?;
        Ok(stopped || count == self.most)
    }
}

/// What there is to say about those with which this happened.
async fn refusals(
    connection: &mut PgConnection,
    action_id: Uuid,
    what: &str,
) -> Result<Option<String>, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) as "count!", (array_agg(refusal order by number))[1] as first
           from bulk_items where action_id = $1 and refusal is not null"#,
        action_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(row.first.map(|first| format!("{} {what}, the first because {first}", row.count)))
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("facts and orders always print as JSON")
}

async fn finish(
    connection: &mut PgConnection,
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
