//! The system in numbers: what waits, what runs, what ended lately. For health and metrics; nothing decides by it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Store, StoreError};

/// Dead letters that are counted; more are this many.
pub const MAX_COUNTED: i64 = 100_000;

/// How long the minutes of what ended are kept.
const KEPT_HOURS: i32 = 25;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Executions that are due and have no worker.
    pub due: i64,
    /// Executions under lease.
    pub leased: i64,
    /// Executions that are due later, or when they are told something.
    pub later: i64,
    /// How long the longest has been due, in seconds; none if nothing is due.
    pub oldest_due_seconds: Option<f64>,
    /// Workers whose lease holds.
    pub workers: i64,
    /// Dead letters, up to [`MAX_COUNTED`].
    pub dead_letters: i64,
    /// What ended lately.
    pub finished: Vec<Finished>,
}

/// Executions that ended alike.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Such as `succeeded`.
    pub status: String,
    /// Why they failed; empty otherwise.
    pub code: String,
    /// Within the last hour.
    pub hour: i64,
    /// Within the last five whole minutes.
    pub five_minutes: i64,
}

/// Executions that ended alike within a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedMinute {
    /// The minute's beginning.
    pub minute: DateTime<Utc>,
    /// Such as `succeeded`.
    pub status: &'static str,
    /// Why they failed; empty otherwise.
    pub code: &'static str,
    /// How many.
    pub executions: i32,
}

impl Store {
    /// The system as it is.
    pub async fn figures(&self) -> Result<Figures, StoreError> {
        let row =
            sqlx::query_file!("queries/figures.sql", MAX_COUNTED).fetch_one(&self.pool).await?;
        let finished = sqlx::query_file_as!(Finished, "queries/finished_last_hour.sql")
            .fetch_all(&self.pool)
            .await?;
        Ok(Figures {
            due: row.due,
            leased: row.leased,
            later: row.later,
            oldest_due_seconds: row.oldest_due_seconds,
            workers: row.workers,
            dead_letters: row.dead_letters,
            finished,
        })
    }

    /// Adds to what a worker has seen end.
    pub async fn add_finished(
        &self,
        worker_id: Uuid,
        minutes: &[FinishedMinute],
    ) -> Result<(), StoreError> {
        let column = |of: fn(&FinishedMinute) -> &'static str| -> Vec<&str> {
            minutes.iter().map(of).collect()
        };
        sqlx::query!(
            "insert into finished_minutes (minute, worker_id, status, code, executions)
             select minute, $1, status, code, executions
             from unnest($2::timestamptz[], $3::text[], $4::text[], $5::integer[])
                  as f (minute, status, code, executions)
             on conflict (minute, worker_id, status, code)
             do update set executions = finished_minutes.executions + excluded.executions",
            worker_id,
            &minutes.iter().map(|it| it.minute).collect::<Vec<_>>(),
            &column(|it| it.status) as &[&str],
            &column(|it| it.code) as &[&str],
            &minutes.iter().map(|it| it.executions).collect::<Vec<_>>(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes the minutes that nobody asks for any more.
    pub async fn drop_old_minutes(&self) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from finished_minutes where minute < now() - make_interval(hours => $1)",
            KEPT_HOURS
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
