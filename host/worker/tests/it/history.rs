//! A store with executions that ended long ago.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use stateflow_worker::{Archive, Deleted, Retiring};
use store::retention::Retention;
use store::workflows::NewVersion;
use store::{DEFAULT_NAMESPACE, Schema, Store, StoreSettings};
use testing::TestDatabase;
use uuid::Uuid;

pub(crate) struct History {
    pub(crate) store: Store,
    /// The same database, without any checks of the store's.
    pub(crate) side: PgPool,
    pub(crate) workflow_id: Uuid,
    _database: TestDatabase,
}

impl History {
    pub(crate) async fn new() -> Self {
        Self::of(&json!({})).await
    }

    /// With a workflow that has this retention.
    pub(crate) async fn of(retention: &serde_json::Value) -> Self {
        let database = testing::database().await;
        let settings = StoreSettings::new(database.url(), Schema::default());
        Store::migrate(&settings).await.unwrap();
        let store = Store::open(settings).await.unwrap();
        let options = database.url().parse::<sqlx::postgres::PgConnectOptions>().unwrap();
        let side = options.options([("search_path", "stateflow"), ("timezone", "UTC")]);
        let side = PgPool::connect_with(side).await.unwrap();
        let new = NewVersion {
            events: Vec::new(),
            namespace_id: DEFAULT_NAMESPACE,
            name: "w".to_owned(),
            definition: json!({ "name": "w", "retention": retention, "steps": [{ "id": "s", "type": "log" }] }),
            plugin_lock: BTreeMap::new(),
        };
        let workflow_id = store.create_workflow(&new).await.unwrap().workflow_id;
        Self { store, side, workflow_id, _database: database }
    }

    pub(crate) async fn sql(&self, text: &str) {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&self.side).await.unwrap();
    }

    pub(crate) async fn number(&self, text: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(text.to_owned())).fetch_one(&self.side).await.unwrap()
    }

    /// Makes the partitions of the week so many weeks ago.
    pub(crate) async fn week(&self, ago: i32) {
        self.sql(&format!(
            "do $$
             declare
                 week timestamptz := date_trunc('week', now()) - make_interval(weeks => {ago});
                 parent text;
             begin
                 foreach parent in array array['executions', 'attempts', 'families', 'messages'] loop
                     execute format('create table %I partition of %I for values from (%L) to (%L)',
                         parent || '_' || to_char(week, 'YYYYMMDD'), parent, uuid_at(week), uuid_at(week + interval '7 days'));
                 end loop;
             end $$"
        ))
        .await;
    }

    /// Executions of the week so many weeks ago, each with an attempt, that ended within the week. Their ids end with
    /// their numbers.
    pub(crate) async fn ended(&self, ago: i32, status: &str, count: i32) {
        let workflow = self.workflow_id;
        self.sql(&format!(
            "with made as (
                 insert into executions (id, namespace_id, workflow_id, version, status, state, input, output, finished_at)
                 select (left(uuid_at(date_trunc('week', now()) - make_interval(weeks => {ago}) + n * interval '1 millisecond')::text, 24)
                         || lpad(to_hex(n + ascii('{status}') * 65536), 12, '0'))::uuid,
                        1, '{workflow}', 1, '{status}', '{{}}', E'{{\"n\":\\n \"a\\\\\\\\b\\\\n\"}}', '1',
                        date_trunc('week', now()) - make_interval(weeks => {ago}) + interval '1 day'
                 from generate_series(1, {count}) n
                 returning id, finished_at)
             insert into attempts
                 (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at)
             select id, 1, 1, 's', 1, 'succeeded', gen_random_uuid(), finished_at, finished_at from made"
        ))
        .await;
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.number(&format!("select count(*) from {table}")).await
    }

    /// How many tables of past weeks there are.
    pub(crate) async fn old_tables(&self) -> i64 {
        self.number(
            "select count(*) from pg_class
             where relnamespace = 'stateflow'::regnamespace and relkind = 'r' and relname ~ '_\\d{8}$'
               and to_date(right(relname, 8), 'YYYYMMDD') < date_trunc('week', now())",
        )
        .await
    }

    pub(crate) fn retiring(&self, retention: Retention, archive: Option<&Path>) -> Retiring {
        Retiring { store: self.store.clone(), retention, archive: archive.map(Archive::new) }
    }

    pub(crate) async fn round(&self, retention: Retention) -> Deleted {
        self.retiring(retention, None).round(true).await.unwrap()
    }
}
