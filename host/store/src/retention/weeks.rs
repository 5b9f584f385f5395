//! Weeks of history: which there are, whether all of one may go, and taking it off.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::pace::{pages, rest_from};
use super::{Retention, interval};
use crate::{Store, StoreError};

/// Who waits for a table's lock keeps everybody behind it waiting too: this is all that they ever notice of it.
const LOCK_PATIENCE: &str = "100ms";
/// How often taking a week off is tried before it is left for the next time.
const DETACH_TRIES: u32 = 20;
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// What is partitioned by week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Executions and what hangs on them.
    Executions,
    /// Events and signals.
    Messages,
}

impl Kind {
    /// The tables that a week of it is in.
    pub fn tables(self) -> &'static [&'static str] {
        match self {
            Self::Executions => &["executions", "attempts", "families"],
            Self::Messages => &["messages"],
        }
    }

    fn names(self) -> Vec<String> {
        self.tables().iter().map(|it| (*it).to_owned()).collect()
    }
}

/// A week of history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Week {
    /// Of what.
    pub kind: Kind,
    /// Its first instant.
    pub begins: DateTime<Utc>,
    /// Its smallest id.
    pub from: Uuid,
    /// The smallest id of the week after it.
    pub to: Uuid,
}

/// What became of taking a week off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// It is off.
    Done,
    /// Something in it has to stay, or has changed since it was looked at.
    Stays,
    /// Somebody used the tables for longer than we were willing to wait.
    Busy,
}

impl Store {
    /// The weeks that end before anything in them can be past its time, oldest first. None, if everything is kept for ever.
    pub async fn old_weeks(
        &self,
        kind: Kind,
        retention: &Retention,
    ) -> Result<Vec<Week>, StoreError> {
        let Some(end) = self.oldest_kept(kind, retention).await? else { return Ok(Vec::new()) };
        self.weeks_until(kind, Some(end)).await
    }

    /// All weeks, and what lies outside of them: the rows of the default partition.
    pub async fn all_weeks(&self, kind: Kind) -> Result<Vec<Week>, StoreError> {
        let mut weeks = self.weeks_until(kind, None).await?;
        let begins = DateTime::UNIX_EPOCH;
        let first = weeks.first().map_or(Uuid::max(), |it| it.from);
        let last = weeks.last().map_or(Uuid::max(), |it| it.to);
        weeks.insert(0, Week { kind, begins, from: Uuid::nil(), to: first });
        weeks.push(Week { kind, begins, from: last, to: Uuid::max() });
        Ok(weeks)
    }

    async fn weeks_until(
        &self,
        kind: Kind,
        end: Option<DateTime<Utc>>,
    ) -> Result<Vec<Week>, StoreError> {
        let rows = sqlx::query!(
            r#"select w.begins as "begins!", uuid_at(w.begins) as "from!",
                      uuid_at(w.begins + interval '7 days') as "to!"
               from pg_inherits i
               join pg_class c on c.oid = i.inhrelid
               cross join lateral (
                   select to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp at time zone 'utc' as begins) w
               where i.inhparent = $1::text::regclass and c.relname ~ ('^' || $1 || '_\d{8}$')
                 and ($2::timestamptz is null or w.begins + interval '7 days' <= $2)
               order by w.begins"#,
            kind.tables()[0],
            end,
        )
        .fetch_all(&self.pool)
        .await?;
        let week = |begins, from, to| Week { kind, begins, from, to };
        Ok(rows.into_iter().map(|row| week(row.begins, row.from, row.to)).collect())
    }

    /// What was made after this instant has to stay in any case; `None` if everything has.
    pub async fn oldest_kept(
        &self,
        kind: Kind,
        retention: &Retention,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let newest = match kind {
            Kind::Executions => {
                sqlx::query_scalar!(
                    r#"select max(before) as "newest?" from retention_cutoffs($1, $2, $3)"#,
                    interval(retention.succeeded),
                    interval(retention.failed),
                    interval(retention.cancelled),
                )
                .fetch_one(&self.pool)
                .await?
            }
            Kind::Messages => {
                sqlx::query_scalar!(
                    r#"select now() - $1::interval as "newest?""#,
                    interval(retention.events)
                )
                .fetch_one(&self.pool)
                .await?
            }
        };
        Ok(newest)
    }

    /// When a look at a week began of which nothing has to stay; `None` if something has. Looks at leisure, without locks.
    pub async fn week_is_over(
        &self,
        week: &Week,
        retention: &Retention,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let now = sqlx::query_scalar!(r#"select now() as "now!""#).fetch_one(&self.pool).await?;
        if week.kind == Kind::Executions
            && is_stirred(&mut *self.pool.acquire().await?, week).await?
        {
            return Ok(None);
        }
        let day = week.begins.format("%Y%m%d").to_string();
        let blocks = self.blocks(&format!("{}_{day}", week.kind.tables()[0])).await?;
        for page in pages(blocks) {
            let began = Instant::now();
            if self.stays(week, &day, page, retention).await? {
                return Ok(None);
            }
            rest_from(began).await;
        }
        Ok(Some(now))
    }

    /// Whether something in a range of blocks has to stay.
    async fn stays(
        &self,
        week: &Week,
        day: &str,
        (from, to): (i64, i64),
        retention: &Retention,
    ) -> Result<bool, StoreError> {
        let stays = match week.kind {
            Kind::Executions => {
                sqlx::query_scalar!(
                    r#"select executions_stay($1, $2, $3, $4, $5, $6, $7, $8) as "stays!""#,
                    day,
                    week.from,
                    from,
                    to,
                    interval(retention.succeeded),
                    interval(retention.failed),
                    interval(retention.cancelled),
                    interval(retention.dead_letters),
                )
                .fetch_one(&self.pool)
                .await?
            }
            Kind::Messages => {
                sqlx::query_scalar!(
                    r#"select messages_stay($1, $2, $3, $4) as "stays!""#,
                    day,
                    from,
                    to,
                    interval(retention.events),
                )
                .fetch_one(&self.pool)
                .await?
            }
        };
        Ok(stays)
    }

    /// Takes a week off of which nothing had to stay when somebody looked, at an instant or after it. What is run again in
    /// between goes back when the week is dropped. Nobody waits behind this for longer than a tenth of a second.
    pub async fn detach_week(
        &self,
        week: &Week,
        looked_at: DateTime<Utc>,
    ) -> Result<Detached, StoreError> {
        for again in 0..DETACH_TRIES {
            if again > 0 {
                tokio::time::sleep(TRY_AGAIN).await;
            }
            match self.try_to_detach(week, looked_at).await {
                Err(StoreError::Database(error)) if is_lock_timeout(&error) => {}
                Err(StoreError::Unavailable(error)) if is_lock_timeout(&error) => {}
                outcome => return outcome,
            }
        }
        Ok(Detached::Busy)
    }

    async fn try_to_detach(
        &self,
        week: &Week,
        looked_at: DateTime<Utc>,
    ) -> Result<Detached, StoreError> {
        let mut transaction = self.pool.begin().await?;
        patience(&mut transaction).await?;
        sqlx::query!("select detach_week($1, $2, $3)", &week.kind.names(), week.begins, looked_at)
            .execute(&mut *transaction)
            .await?;
        if week.kind == Kind::Executions {
            if is_stirred(&mut transaction, week).await? {
                return Ok(Detached::Stays);
            }
            delete_what_hangs_on(&mut transaction, week).await?;
        }
        transaction.commit().await?;
        Ok(Detached::Done)
    }
}

/// The rest of the transaction gives up rather than wait for a lock.
pub(crate) async fn patience(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query_scalar!("select set_config('lock_timeout', $1, true)", LOCK_PATIENCE)
        .fetch_one(connection)
        .await?;
    Ok(())
}

/// Who was told something has a place in the queue. Only after the detach is it sure that nobody is about to be: whoever has
/// looked at these executions in a transaction had the tables locked until it ended.
async fn is_stirred(connection: &mut PgConnection, week: &Week) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from queue where execution_id >= $1 and execution_id < $2) as "it!""#,
        week.from,
        week.to,
    )
    .fetch_one(connection)
    .await?)
}

/// 55P03, `lock_not_available`; and deadlocks, which end with one of both giving up.
pub(crate) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}

/// What is not partitioned and belongs to the week's executions.
async fn delete_what_hangs_on(
    connection: &mut PgConnection,
    week: &Week,
) -> Result<(), StoreError> {
    sqlx::query!(
        "with gone_facts as (
             delete from inbox where execution_id >= $1 and execution_id < $2
         ), gone_logs as (
             delete from live_logs where execution_id >= $1 and execution_id < $2
         ), gone_subscriptions as (
             delete from subscriptions where execution_id >= $1 and execution_id < $2
         )
         delete from late_results where execution_id >= $1 and execution_id < $2",
        week.from,
        week.to,
    )
    .execute(connection)
    .await?;
    Ok(())
}
