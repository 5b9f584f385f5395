//! Connections that are kept ready.

use sqlx::{Connection, PgConnection};
use stateflow_store::{Schema, Store, StoreSettings};

/// Of each connection of the store, the beginning of what it did last.
async fn last_statements(watcher: &mut PgConnection) -> Vec<String> {
    let connections = "select left(query, 15) from pg_stat_activity
                       where datname = current_database() and application_name = 'stateflow'";
    sqlx::query_scalar(connections).fetch_all(watcher).await.unwrap()
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

    let store = Store::open(settings).await.unwrap();
    assert_eq!(last_statements(&mut watcher).await, ["-- The one door"; 3]);
    store.close().await;
}
