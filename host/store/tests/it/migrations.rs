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
