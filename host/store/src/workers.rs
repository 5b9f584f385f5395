//! The workers that there are: registering, one heartbeat for all leases, leaving.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use crate::{Store, StoreError};

/// A worker, as it introduces itself.
#[derive(Clone, Debug)]
pub struct NewWorker {
    /// A fresh id; a worker that lost its leases comes back under another.
    pub id: Uuid,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The build's version.
    pub build: String,
    /// How many executions it drives at once.
    pub concurrency: u32,
    /// How long its leases hold without a heartbeat.
    pub lease: Duration,
}

/// A registered worker.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its id.
    pub id: Uuid,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: i32,
    /// The build's version.
    pub build: String,
    /// How many executions it drives at once.
    pub concurrency: i32,
    /// When it registered.
    pub started_at: DateTime<Utc>,
    /// Until when its leases hold.
    pub lease_until: DateTime<Utc>,
}

impl Store {
    /// Registers a worker. Returns the database's time.
    pub async fn register_worker(&self, worker: &NewWorker) -> Result<DateTime<Utc>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"insert into workers (id, host, pid, build, concurrency, lease_until, connections)
               values ($1, $2, $3, $4, $5, now() + $6::interval, $7)
               returning now() as "now!""#,
            worker.id,
            worker.host,
            i32::try_from(worker.pid).unwrap_or_default(),
            worker.build,
            i32::try_from(worker.concurrency).unwrap_or(i32::MAX),
            interval(worker.lease),
            i32::try_from(self.pool_use().most).unwrap_or(i32::MAX),
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Renews all leases of a worker. Returns the database's time; `None` if the leases are already expired.
    pub async fn heartbeat(
        &self,
        worker_id: Uuid,
        lease: Duration,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"update workers set lease_until = now() + $2::interval where id = $1 returning now() as "now!""#,
            worker_id,
            interval(lease),
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Takes a worker that has given everything back off the list.
    pub async fn deregister_worker(&self, worker_id: Uuid) -> Result<(), StoreError> {
        sqlx::query!(
            "update workers set lease_until = now() - interval '1 second' where id = $1",
            worker_id
        )
        .execute(&self.pool)
        .await?;
        self.expire_leases().await?;
        Ok(())
    }

    /// The registered workers, oldest first.
    pub async fn workers(&self) -> Result<Vec<Worker>, StoreError> {
        Ok(sqlx::query_as!(Worker, "select id, host, pid, build, concurrency, started_at, lease_until from workers order by started_at")
            .fetch_all(&self.pool)
            .await?)
    }
}

fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
