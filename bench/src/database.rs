//! The private Postgres of a run: default durability, one fresh database per repetition, and what it counts.

use std::path::Path;

use anyhow::{Context, Result};
use postgres::{Binaries, Server, ServerOptions, StopMode};
use serde::Serialize;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, PgTransaction};

use crate::machine;

/// All that differs from what Postgres ships; durability does not.
pub(crate) const SETTINGS: [&str; 1] = ["shared_buffers=512MB"];
const MAX_CONNECTIONS: u32 = 300;

/// The server of a run.
pub(crate) struct Postgres {
    server: Server,
    pub(crate) version: String,
    pub(crate) directory: tempfile::TempDir,
}

/// What a server has counted so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counters {
    pub(crate) wal_bytes: f64,
    pub(crate) transactions: f64,
    pub(crate) cpu_seconds: f64,
}

impl Postgres {
    /// Starts one, with more settings than [`SETTINGS`] if an experiment asks for them.
    pub(crate) async fn start(more: &[String]) -> Result<Self> {
        let binaries = Binaries::find(None).context("no Postgres server: run `make setup`")?;
        let directory = tempfile::tempdir()?;
        let options = ServerOptions {
            keep: false,
            max_connections: MAX_CONNECTIONS,
            settings: SETTINGS
                .iter()
                .map(|it| (*it).to_owned())
                .chain(more.iter().cloned())
                .collect(),
            ..ServerOptions::new(directory.path().join("postgres"))
        };
        let server =
            tokio::task::spawn_blocking(move || Server::start(&binaries, options)).await??;
        let mut connection = PgConnection::connect(&server.url()).await?;
        let version = sqlx::query_scalar("select version()").fetch_one(&mut connection).await?;
        Ok(Self { server, version, directory })
    }

    /// Makes a database, in place of what has the name.
    pub(crate) async fn fresh(&self, name: &str) -> Result<Database> {
        let mut connection = PgConnection::connect(&self.server.url()).await?;
        for statement in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name}"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        let url = self.server.url().replace("/stateflow?", &format!("/{name}?"));
        Ok(Database { server: self.pid()?, ..Database::open(&url).await? })
    }

    fn pid(&self) -> Result<i32> {
        self.server.pid().context("Postgres has ended")
    }

    /// Ends it.
    pub(crate) async fn stop(self) -> Result<()> {
        let Self { server, .. } = self;
        tokio::task::spawn_blocking(move || server.stop(StopMode::Fast)).await?
    }

    /// A directory for what a run leaves behind.
    pub(crate) fn scratch(&self) -> &Path {
        self.directory.path()
    }
}

/// One repetition's database.
pub(crate) struct Database {
    pub(crate) url: String,
    pool: PgPool,
    server: i32,
}

/// What is stored at the end of a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) succeeded: i64,
    pub(crate) others: i64,
    pub(crate) attempts: i64,
    pub(crate) queued: i64,
}

impl Database {
    /// A database of somebody else's server.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await?;
        Ok(Self { url: url.to_owned(), pool, server: 0 })
    }

    /// Whether everything that was started has ended.
    pub(crate) async fn is_drained(&self) -> Result<bool> {
        let some = "select exists (select from stateflow.queue)";
        Ok(!sqlx::query_scalar::<_, bool>(some).fetch_one(&self.pool).await?)
    }

    /// Counts rows, one by one.
    pub(crate) async fn count(&self) -> Result<Stored> {
        let rows = async |of: &str| {
            let count =
                self.number(&format!("select count(*)::float8 from stateflow.{of}")).await?;
            anyhow::Ok(count as i64)
        };
        let succeeded = rows("executions where status = 'succeeded'").await?;
        let others = rows("executions where status <> 'succeeded'").await?;
        let attempts = rows("attempts where status = 'succeeded'").await?;
        let queued = rows("queue").await?;
        Ok(Stored { succeeded, others, attempts, queued })
    }

    /// Writes dirty pages out, so that a repetition does not pay for the one before.
    pub(crate) async fn checkpoint(&self) -> Result<()> {
        self.execute("checkpoint").await
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, sql: &str) -> Result<()> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await?;
        Ok(())
    }

    /// Keeps everybody from a table until the transaction ends.
    pub(crate) async fn lock(&self, table: &str) -> Result<PgTransaction<'static>> {
        let mut transaction = self.pool.begin().await?;
        let lock = format!("lock table {table} in access exclusive mode");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// One number.
    pub(crate) async fn number(&self, sql: &str) -> Result<f64> {
        Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await?)
    }

    /// What the server has counted so far. Transactions arrive in its statistics with a second's delay.
    pub(crate) async fn counters(&self) -> Result<Counters> {
        let wal = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
        let transactions =
            "select xact_commit::float8 from pg_stat_database where datname = current_database()";
        Ok(Counters {
            wal_bytes: self.number(wal).await?,
            transactions: self.number(transactions).await?,
            cpu_seconds: machine::cpu_seconds(self.server),
        })
    }

    /// Closes the connections, so that the database can be dropped.
    pub(crate) async fn close(self) {
        self.pool.close().await;
    }
}
