//! What the tests of the other crates rely on.

use anyhow::Result;
use sqlx::{Connection, PgConnection, Row};
use stateflow_testing::{StopMode, database, postgres, private_postgres};

async fn number(url: &str, statement: &'static str) -> Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let row = sqlx::raw_sql(statement).fetch_one(&mut connection).await?;
    let number = row.try_get(0)?;
    connection.close().await?;
    Ok(number)
}

async fn execute(url: &str, statement: &'static str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

#[tokio::test]
async fn two_tests_do_not_see_each_others_tables() {
    let (first, second) = tokio::join!(database(), database());
    execute(first.url(), "create table t as select 1 as n").await.unwrap();
    assert_eq!(number(first.url(), "select count(*) from t").await.unwrap(), 1);
    assert!(number(second.url(), "select count(*) from t").await.is_err());
}

#[tokio::test]
async fn a_database_goes_with_its_guard_even_while_somebody_is_connected() {
    let database = database().await;
    let url = database.url().to_owned();
    let mut connected = PgConnection::connect(&url).await.unwrap();
    drop(database);
    assert!(connected.ping().await.is_err());
    assert!(PgConnection::connect(&url).await.is_err());
}

#[tokio::test]
async fn every_caller_gets_the_same_server() {
    let (first, second) = tokio::join!(postgres(), postgres());
    assert_eq!(first.url(), second.url());
    assert_eq!(number(first.url(), "select 1::bigint").await.unwrap(), 1);
}

#[tokio::test]
async fn what_a_private_server_committed_survives_its_crash() {
    let mut server = private_postgres().await;
    execute(server.url(), "create table kept as select 7::bigint as n").await.unwrap();
    server.restart(StopMode::Immediate).await;
    assert_eq!(number(server.url(), "select n from kept").await.unwrap(), 7);
    server.restart(StopMode::Fast).await;
    assert_eq!(number(server.url(), "select n from kept").await.unwrap(), 7);
}
