//! One database per test, made on the shared server and dropped with its guard.

use std::thread;

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::shared::postgres;

/// An empty database of one test's own.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    name: String,
    server_url: String,
}

impl TestDatabase {
    /// Where to connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keeps everybody else from a table, until released.
    pub async fn lock(&self, table: &str) -> TableLock {
        let lock = format!("begin; lock table {table} in access exclusive mode");
        let mut connection = PgConnection::connect(&self.url).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.expect("it can be had");
        TableLock { connection }
    }
}

/// A table that nobody else can read or write.
#[derive(Debug)]
pub struct TableLock {
    connection: PgConnection,
}

impl TableLock {
    /// Lets the others go on.
    pub async fn release(self) {
        self.connection.close().await.expect("the server answers");
    }
}

/// A fresh, empty database on the server that all tests share.
pub async fn database() -> TestDatabase {
    let server_url = postgres().await.url().to_owned();
    let name = format!("sf_{}", Uuid::new_v4().simple());
    // The name is the only part of the statement that varies, and it is made of hex digits.
    execute(&server_url, format!("create database {name}"))
        .await
        .expect("the shared server makes a database");
    let url = on_database(&server_url, &name);
    TestDatabase { url, name, server_url }
}

impl Drop for TestDatabase {
    /// On a thread and a runtime of its own: a drop cannot wait, and the test's runtime may be shutting down.
    fn drop(&mut self) {
        let server_url = self.server_url.clone();
        let statement = format!("drop database if exists {} with (force)", self.name);
        let dropping = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Best effort: what stays behind goes with the server's directory.
            let _ = runtime.map(|runtime| runtime.block_on(execute(&server_url, statement)));
        });
        let _ = dropping.join();
    }
}

async fn execute(url: &str, statement: String) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("cannot connect")?;
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// The same server's URL with another database in its path.
fn on_database(server_url: &str, name: &str) -> String {
    let (address, query) = server_url.split_once('?').unwrap_or((server_url, ""));
    let server = address.rsplit_once('/').map_or(address, |(server, _)| server);
    format!("{server}/{name}?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        assert_eq!(
            on_database("postgres://u:p@127.0.0.1:5/stateflow?sslmode=disable", "sf_1"),
            "postgres://u:p@127.0.0.1:5/sf_1?sslmode=disable"
        );
    }
}
