//! Connections that are kept ready.

use sqlx::{Connection, PgConnection};
use stateflow_store::{Schema, Store, StoreSettings};

/// The store's connections, by what they did last.
async fn connections(watcher: &mut PgConnection, last: &str) -> i64 {
    let counted = "select count(*) from pg_stat_activity
                   where datname = current_database() and application_name = 'stateflow' and query = $1";
    sqlx::query_scalar(counted).bind(last).fetch_one(watcher).await.unwrap()
}

#[tokio::test]
async fn connections_are_there_and_know_what_executions_need_before_one_comes() {
    let database = testing::database().await;
    let settings =
        StoreSettings { kept_ready: 3, ..StoreSettings::new(database.url(), Schema::default()) };
    let mut watcher = PgConnection::connect(database.url()).await.unwrap();
    // Before there is a schema, there is nothing to rehearse; it is no fault of the connection's.
    Store::open(settings.clone()).await.unwrap().close().await;
    Store::migrate(&settings).await.unwrap();

    // A table that somebody has locked keeps nobody from connecting.
    let mut holder = PgConnection::connect(database.url()).await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    sqlx::raw_sql("lock table stateflow.queue in access exclusive mode")
        .execute(&mut *holding)
        .await
        .unwrap();
    let store = Store::open(settings.clone()).await.unwrap();
    assert_eq!(connections(&mut watcher, "COMMIT").await, 0);
    store.close().await;
    holding.rollback().await.unwrap();

    let store = Store::open(settings).await.unwrap();
    assert_eq!(connections(&mut watcher, "COMMIT").await, 3, "they have rehearsed");
    store.close().await;
}
