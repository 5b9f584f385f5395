//! Connections that are kept ready.

use sqlx::{Connection, PgConnection};
use stateflow_store::{Schema, Store, StoreSettings};

/// What each of the store's connections did last.
async fn last_statements(watcher: &mut PgConnection) -> Vec<String> {
    let connections = "select query from pg_stat_activity
                       where datname = current_database() and application_name = 'stateflow'";
    sqlx::query_scalar(connections).fetch_all(watcher).await.unwrap()
}

/// Closes a store, and waits until Postgres has heard of it.
async fn close(store: &Store, watcher: &mut PgConnection) {
    store.close().await;
    while !last_statements(watcher).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_are_there_and_know_what_executions_need_before_one_comes() {
    let database = testing::database().await;
    let settings =
        StoreSettings { kept_ready: 3, ..StoreSettings::new(database.url(), Schema::default()) };
    let mut watcher = PgConnection::connect(database.url()).await.unwrap();
    Store::migrate(&settings).await.unwrap();

    // A table that somebody has locked keeps nobody from connecting.
    let mut holder = PgConnection::connect(database.url()).await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    let lock = sqlx::raw_sql("lock table stateflow.queue in access exclusive mode");
    lock.execute(&mut *holding).await.unwrap();
    let store = Store::open(settings.clone()).await.unwrap();
    close(&store, &mut watcher).await;
    holding.rollback().await.unwrap();

    let store = Store::open(settings).await.unwrap();
    assert_eq!(last_statements(&mut watcher).await, ["COMMIT"; 3], "they have rehearsed");
    close(&store, &mut watcher).await;
}

#[tokio::test]
async fn without_a_schema_there_is_nothing_to_rehearse_and_no_fault() {
    let database = testing::database().await;
    let settings =
        StoreSettings { kept_ready: 3, ..StoreSettings::new(database.url(), Schema::default()) };
    let store = Store::open(settings).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
}
