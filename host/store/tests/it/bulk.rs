//! Actions on many executions: whoever dies in the middle of a step leaves it to the next, and nothing is done twice.

use engine::fork::ForkOrder;
use engine::plan::{Plan, PluginLock};
use serde_json::json;
use stateflow_store::DEFAULT_NAMESPACE;
use stateflow_store::bulk::{BulkOrder, BulkStep, NewBulkAction};
use stateflow_store::forks::NewFork;
use stateflow_store::listing::Filter;
use stateflow_store::wakeups::Wakeups;
use uuid::Uuid;

use crate::fixture::Fixture;

async fn forks(fixture: &Fixture, step: &BulkStep) -> Vec<Result<NewFork, String>> {
    let stored = fixture.store.version(fixture.workflow_id, 1).await.unwrap();
    let definition = serde_json::from_value(stored.definition).unwrap();
    let plan = Plan::compile(&definition, 1, &PluginLock::new()).unwrap();
    let BulkOrder::Fork(order) = &step.order else { panic!("{:?} is no fork", step.order) };
    let mut forks = Vec::new();
    for id in &step.executions {
        let of = fixture.store.execution(step.namespace_id, *id).await.unwrap();
        let fork = fixture.store.prepare_fork(&of, order, &plan).await.unwrap();
        forks.push(fork.map_err(|refusal| refusal.to_string()));
    }
    forks
}

#[tokio::test]
async fn a_step_that_is_not_taken_to_its_end_has_done_nothing_and_is_taken_again_once() {
    let fixture = Fixture::new().await;
    let executions = fixture.start(3).await;
    let action = NewBulkAction {
        id: Uuid::now_v7(),
        namespace_id: DEFAULT_NAMESPACE,
        order: BulkOrder::Fork(ForkOrder::default()),
        request: json!({}),
        rate: None,
        canary: 0,
        stop_above: None,
        executions: executions.clone(),
    };
    fixture.store.begin_bulk_action(&action).await.unwrap();
    let count = async || {
        fixture.store.executions(DEFAULT_NAMESPACE, &Filter::default(), 100).await.unwrap().len()
    };
    let next = async || fixture.store.next_bulk_step().await.unwrap();

    let lost = next().await.unwrap();
    assert_eq!(lost.executions, executions);
    assert!(next().await.is_none(), "one worker at a time");
    forks(&fixture, &lost).await;
    drop(lost);
    assert_eq!(count().await, 3);

    // The lock goes when the database has heard of it.
    let step = loop {
        if let Some(step) = next().await {
            break step;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(step.executions, executions, "nothing of it was done");
    let mut made = forks(&fixture, &step).await;
    made[1] = Err("no".to_owned());
    step.fork(&made, &Wakeups::default()).await.unwrap();
    assert!(next().await.is_none(), "it is done");
    assert_eq!(count().await, 5);
    let seen = fixture.store.bulk_action(DEFAULT_NAMESPACE, action.id).await.unwrap();
    assert_eq!((seen.status.as_str(), seen.acted, seen.failed), ("done", 3, 1));
    let ids: Vec<_> = made.iter().flatten().map(|fork| fork.id).collect();
    assert_eq!(seen.forks, ids);
    assert_eq!(seen.message.as_deref(), Some("1 could not be forked, the first because no"));
    fixture.store.close().await;
}
