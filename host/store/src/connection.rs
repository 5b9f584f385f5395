//! Opening a store: a pool of connections whose `search_path` is the store's schema.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::StoreError;
use crate::metrics::StoreMetrics;
use crate::rehearsal::rehearse;
use crate::retention::patience;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// The schema that the tables live in.
    pub schema: Schema,
    /// The most connections of this process.
    pub max_connections: u32,
    /// So many connections are open at any time, and know what executions need before one comes; with none, connections
    /// are made when they are wanted.
    pub kept_ready: u32,
    /// How long a call waits for a connection before it gives up.
    pub acquire_timeout: Duration,
}

impl StoreSettings {
    /// A store with ten connections and five seconds of patience.
    pub fn new(url: impl Into<String>, schema: Schema) -> Self {
        let acquire_timeout = Duration::from_secs(5);
        Self { url: url.into(), schema, max_connections: 10, kept_ready: 0, acquire_timeout }
    }
}

/// A schema's name: a lower-case SQL identifier that needs no quoting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema(String);

impl Default for Schema {
    fn default() -> Self {
        Self("stateflow".to_owned())
    }
}

impl FromStr for Schema {
    type Err = StoreError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        // Channel names are the schema's name with a suffix, within Postgres's 63 bytes.
        if starts_well && plain && name.len() <= 48 && !name.starts_with("pg_") {
            return Ok(Self(name.to_owned()));
        }
        Err(StoreError::Settings(format!(
            "`{name}` is not a usable schema name: up to 48 lower-case letters, digits and underscores"
        )))
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The store: a handle that is cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) pool: PgPool,
    pub(crate) schema: Schema,
    pub(crate) metrics: StoreMetrics,
}

impl Store {
    /// Opens the store. Beyond the connections that are kept ready, and a first one that shows that the address is right,
    /// it connects lazily.
    pub async fn open(settings: StoreSettings) -> Result<Self, StoreError> {
        let options = connect_options(&settings)?;
        let is_kept_ready = settings.kept_ready > 0;
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .min_connections(settings.kept_ready)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_kept_ready {
                        rehearse(connection).await;
                    }
                    Ok(())
                })
            })
            .acquire_timeout(settings.acquire_timeout)
            .connect_with(options)
            .await?;
        Ok(Self { pool, schema: settings.schema, metrics: StoreMetrics::new() })
    }

    /// Whether the database answers, and how fast.
    pub async fn ping(&self) -> Result<Duration, StoreError> {
        let started = std::time::Instant::now();
        sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(&self.pool).await?;
        Ok(started.elapsed())
    }

    /// Makes the partitions of this week and the given number of weeks after it. Returns how many are new. Rather than
    /// wait for somebody who uses the tables for long, and keep everybody behind it waiting, it fails.
    pub async fn ensure_partitions(&self, weeks: i32) -> Result<i32, StoreError> {
        let mut transaction = self.pool.begin().await?;
        patience(&mut transaction).await?;
        let made = sqlx::query_scalar!(r#"select ensure_partitions($1) as "made!""#, weeks)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(made)
    }

    /// Waits until all connections are given back, and closes them.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The schema that the store is opened on.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

pub(crate) fn connect_options(settings: &StoreSettings) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(&settings.url).map_err(|error| {
        StoreError::Settings(format!("the database URL is not usable: {error}"))
    })?;
    Ok(options
        .application_name("stateflow")
        // Statements over all partitions are estimated dear and take milliseconds; to compile one takes fifty.
        .options([
            ("search_path", settings.schema.0.as_str()),
            ("timezone", "UTC"),
            ("jit", "off"),
        ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_name_needs_no_quoting() {
        for good in ["stateflow", "_a1", &"a".repeat(48)] {
            assert!(good.parse::<Schema>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "A", "a-b", "a\"b", "pg_x", &"a".repeat(49)] {
            assert!(bad.parse::<Schema>().is_err(), "{bad}");
        }
    }
}
