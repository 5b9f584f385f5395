//! Workers that are killed right after a commit that they never hear of, at one boundary after the other, while they
//! drive executions with everything that reaches beyond one: items, branches, waits, events, calls, undoing.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Utc;
use engine::definition::Definition;
use engine::machine::State;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sqlx::PgPool;
use store::starts::NewExecution;
use store::workflows::NewVersion;
use store::{DEFAULT_NAMESPACE, Schema, Store, StoreSettings};
use testing::database;
use tokio::time::timeout;
use uuid::Uuid;

use crate::door::Door;
use crate::ledger::Ledger;
use crate::processes::WorkerProcess;

/// In each round, executions that succeed, and as many that fail and are undone.
const EACH: usize = 3;
const ROUNDS: usize = 5;
/// Workers that are killed in a round: a step may lose its worker so often in one visit, and is tried again.
const LIVES: usize = 5;
/// A worker has so many answers of the database to live on.
const ANSWERS: std::ops::Range<usize> = 15..90;
const PATIENCE: Duration = Duration::from_mins(3);

fn call(url: &str, id: &str, next: Option<&str>) -> Value {
    let mut step = json!({ "id": id, "type": "http", "config": { "url": url, "method": "POST" }, "output": id });
    if let Some(next) = next {
        step["next"] = json!(next);
    }
    step
}

fn definitions(url: &str) -> [Value; 2] {
    let callee = json!({ "name": "callee", "steps": [call(url, "called", None)] });
    let mut charge = call(url, "charge", Some("each"));
    charge["compensate"] = json!({ "steps": [call(url, "refund", None)] });
    let waits = json!({ "id": "hear", "type": "wait", "config": {
        "event": { "name": "done", "match": "event.data.id == execution.id", "lookbackMs": 600_000 } }, "output": "heard" });
    let tells = json!({ "id": "tell", "type": "emit", "config": { "event": "done", "data": { "id": "${execution.id}" } }, "output": "told" });
    let flow = json!({ "name": "flow", "steps": [
        charge,
        { "id": "each", "type": "map", "config": { "items": [1, 2, 3], "maxConcurrency": 2, "steps": [call(url, "item", None)] }, "next": "fan" },
        { "id": "fan", "type": "parallel", "config": { "branches": { "hears": { "steps": [waits] }, "tells": { "steps": [tells] } } }, "next": "pause" },
        { "id": "pause", "type": "wait", "config": { "durationMs": 5 }, "next": "sub" },
        { "id": "sub", "type": "workflow", "config": { "workflow": "callee" }, "next": "choose" },
        { "id": "choose", "type": "switch", "config": { "cases": [{ "when": "input.fail", "next": "fail" }], "default": "good" } },
        { "id": "fail", "type": "fail", "config": { "message": "no" } },
        { "id": "good", "type": "transform", "config": { "value": ["${steps.charge.output}", "${steps.each.output}", "${steps.fan.output}", "${steps.sub.output}"] } },
    ] });
    [callee, flow]
}

async fn publish(store: &Store, definition: &Value) -> Uuid {
    let parsed: Definition = serde_json::from_value(definition.clone()).unwrap();
    let new = NewVersion {
        namespace_id: DEFAULT_NAMESPACE,
        name: parsed.name,
        definition: definition.clone(),
        plugin_lock: BTreeMap::new(),
        events: Vec::new(),
    };
    store.create_workflow(&new).await.unwrap().workflow_id
}

async fn start(store: &Store, workflow_id: Uuid) {
    let new = |fail: bool| NewExecution {
        id: Uuid::now_v7(),
        namespace_id: DEFAULT_NAMESPACE,
        workflow_id,
        version: 1,
        pinned: false,
        revision: 1,
        state: State::new(Utc::now(), None),
        input: json!({ "fail": fail }).to_string().into(),
        terms: engine::searchable::Terms::default(),
        labels: BTreeMap::new(),
        due_at: None,
        idempotency_key: None,
        watched: false,
    };
    let all: Vec<_> = (0..2 * EACH).map(|at| new(at % 2 == 0)).collect();
    assert!(store.start_executions(&all).await.unwrap().is_some());
}

async fn number(pool: &PgPool, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_by_workers_that_die_between_commit_and_answer() {
    let (database, ledger) = (database().await, Ledger::open().await);
    let _machine = crate::workbench::machine().await;
    let settings = StoreSettings::new(database.url(), Schema::default());
    Store::migrate(&settings).await.unwrap();
    let store = Store::open(settings).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let [callee, flow] = definitions(&ledger.url);
    publish(&store, &callee).await;
    let flow = publish(&store, &flow).await;
    let pool = PgPool::connect(database.url()).await.unwrap();

    let mut random = SmallRng::seed_from_u64(4);
    for _ in 0..ROUNDS {
        start(&store, flow).await;
        for _ in 0..LIVES {
            let door = Door::to(database.url(), random.random_range(ANSWERS)).await;
            let doomed = WorkerProcess::with_short_lease(&door.url, data.path());
            // Its heartbeats alone use the answers up in the end.
            timeout(PATIENCE, door.shuts()).await.expect("the door shuts");
            doomed.kill();
        }
        let last = WorkerProcess::with_short_lease(database.url(), data.path());
        timeout(PATIENCE, all_ended(&pool)).await.expect("everything ends");
        last.stop();
    }
    holds(&pool, &ledger).await;
    store.close().await;
}

async fn all_ended(pool: &PgPool) {
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while number(pool, "select count(*) from stateflow.queue").await > 0 {
        look.tick().await;
    }
}

/// What is stored, and what the outside has seen, is what one undisturbed worker would have left.
async fn holds(pool: &PgPool, ledger: &Ledger) {
    let all = ROUNDS * EACH;
    let each = i64::try_from(all).unwrap();
    let good = json!(["charge", ["item", "item", "item"], { "hears": "heard", "tells": "told" }, "called"]);
    let outputs: Vec<String> = sqlx::query_scalar(
        "select e.output::text from stateflow.executions e join stateflow.workflows w on w.id = e.workflow_id
         where w.name = 'flow' and e.block is null and e.status = 'succeeded'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let failures: Vec<String> = sqlx::query_scalar(
        "select concat_ws(' ', block, failure::text) from stateflow.executions where failure is not null order by id",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let outputs: Vec<Value> = outputs.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(outputs, vec![good; all], "{failures:#?}");

    let kinds: Vec<String> = sqlx::query_scalar(
        "select concat_ws(' ', w.name, e.block, e.parent_id is null, e.visit, e.status, count(*)) from stateflow.executions e join stateflow.workflows w on w.id = e.workflow_id group by w.name, e.block, e.parent_id is null, e.visit, e.status order by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    for (what, count) in [
        (
            "select count(*) from stateflow.executions where block is null and status = 'failed'",
            each,
        ),
        // Three items, two branches and a call each; and one undoing for each that failed.
        (
            "select count(*) from stateflow.executions where parent_id is not null",
            2 * each * 6 + each,
        ),
        (
            "select count(*) from stateflow.executions where block = 'charge:compensate' and status = 'succeeded'",
            each,
        ),
        ("select count(*) from stateflow.families where ended <> total", 0),
        ("select count(*) from stateflow.subscriptions", 0),
        ("select count(*) from stateflow.inbox", 0),
        ("select count(*) from stateflow.messages", 2 * each),
        ("select count(*) from stateflow.messages where not delivered", 0),
        (
            "select count(*) from (select from stateflow.attempts where status = 'succeeded'
          group by execution_id, step_id having count(*) > 1) doubled",
            0,
        ),
    ] {
        assert_eq!(number(pool, what).await, count, "{what} {kinds:#?}");
    }
    // A charge, three items, a call; and a refund for each that failed. Attempts may repeat, their keys do not.
    assert_eq!(ledger.calls_by_key().len(), 2 * all * 5 + all);
}
