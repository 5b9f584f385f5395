//! The schema goes up, down and up again, in whichever schema it is told to.

use stateflow_store::{Schema, Store, StoreSettings};

#[tokio::test]
async fn migrations_go_up_down_and_up_again() {
    let database = testing::database().await;
    let settings = StoreSettings::new(database.url(), Schema::default());
    Store::migrate(&settings).await.unwrap();
    Store::migrate(&settings).await.unwrap();
    let store = Store::open(settings.clone()).await.unwrap();
    assert_eq!(store.schema_version().await.unwrap(), Some(Store::latest_schema_version()));

    // Each step down is one that can be gone up again.
    for version in (0..Store::latest_schema_version()).rev() {
        Store::revert(&settings, version).await.unwrap();
        Store::migrate(&settings).await.unwrap();
    }
    Store::revert(&settings, 0).await.unwrap();
    assert_eq!(store.schema_version().await.unwrap(), None);
    assert!(store.workers().await.is_err(), "the tables are gone");

    Store::migrate(&settings).await.unwrap();
    assert!(store.workers().await.unwrap().is_empty());
    store.close().await;
}

#[tokio::test]
async fn two_schemas_of_a_database_do_not_see_each_other() {
    let database = testing::database().await;
    let open = async |schema: &str| {
        let settings = StoreSettings::new(database.url(), schema.parse().unwrap());
        Store::migrate(&settings).await.unwrap();
        Store::open(settings).await.unwrap()
    };
    let (one, other) = (open("one").await, open("other").await);
    let worker = stateflow_store::workers::NewWorker {
        id: uuid::Uuid::now_v7(),
        host: String::new(),
        pid: 1,
        build: String::new(),
        concurrency: 1,
        lease: std::time::Duration::from_mins(1),
    };
    one.register_worker(&worker).await.unwrap();
    assert_eq!(one.workers().await.unwrap().len(), 1);
    assert_eq!(other.workers().await.unwrap().len(), 0);
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn partitions_are_made_once() {
    let database = testing::database().await;
    let settings = StoreSettings::new(database.url(), Schema::default());
    Store::migrate(&settings).await.unwrap();
    let store = Store::open(settings).await.unwrap();
    assert_eq!(store.ensure_partitions(2).await.unwrap(), 0, "the migration made them");
    assert_eq!(store.ensure_partitions(3).await.unwrap(), 4, "a week has one of each table");
    assert_eq!(store.ensure_partitions(3).await.unwrap(), 0);
    store.close().await;
}

/// The statements of this build, as `.sqlx` has them, are those of the version before for whoever comes next: they have to
/// mean the same on a schema in which every table has a column more.
#[tokio::test]
async fn every_statement_means_the_same_where_tables_have_grown() {
    use sqlx::{AssertSqlSafe, Column, Executor, SqlSafeStr};
    let database = testing::database().await;
    let settings = StoreSettings::new(database.url(), Schema::default());
    Store::migrate(&settings).await.unwrap();
    let options: sqlx::postgres::PgConnectOptions = database.url().parse().unwrap();
    let options = options.options([("search_path", "stateflow")]);
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    sqlx::raw_sql(
        "do $$ declare t text; begin
             for t in select relname from pg_class
                 where relnamespace = 'stateflow'::regnamespace and relkind in ('r', 'p') and not relispartition
             loop execute format('alter table %I add column later text', t); end loop;
         end $$",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.sqlx");
    let mut statements = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let described: serde_json::Value = serde_json::from_str(&text).unwrap();
        let query = described["query"].as_str().unwrap().to_owned();
        let named = described["describe"]["columns"].as_array().unwrap().iter();
        let named: Vec<_> = named.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        let prepared = connection.describe(AssertSqlSafe(query.clone()).into_sql_str()).await;
        let prepared = prepared.unwrap_or_else(|error| panic!("{error}\n{query}"));
        let found: Vec<_> = prepared.columns().iter().map(|it| it.name().to_owned()).collect();
        assert_eq!(found, named, "{query}");
        statements += 1;
    }
    assert!(statements > 100, "{statements}");
}

#[tokio::test]
async fn partitions_are_not_waited_for_behind_a_long_transaction() {
    let database = testing::database().await;
    let settings = StoreSettings::new(database.url(), Schema::default());
    Store::migrate(&settings).await.unwrap();
    let store = Store::open(settings).await.unwrap();
    let lock = database.lock("stateflow.executions").await;
    assert!(store.ensure_partitions(3).await.is_err());
    lock.release().await;
    assert_eq!(store.ensure_partitions(3).await.unwrap(), 4);
    store.close().await;
}
