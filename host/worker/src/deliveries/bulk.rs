//! Steps of actions on many executions: most are told something, some are forked.

use engine::fork::ForkOrder;
use store::bulk::{BulkOrder, BulkStep};
use store::forks::NewFork;
use store::wakeups::Wakeups;
use store::{Store, StoreError};
use uuid::Uuid;

use crate::plans::Plans;

/// Takes a step. Returns whether there may be more to do at once.
pub(super) async fn take(
    store: &Store,
    plans: &Plans,
    wakeups: &Wakeups,
    step: BulkStep,
) -> anyhow::Result<bool> {
    match step.order.clone() {
        BulkOrder::Tell(fact) => Ok(step.tell(&fact, wakeups).await?),
        BulkOrder::Fork(order) => {
            let mut forks = Vec::with_capacity(step.executions.len());
            for id in &step.executions {
                forks.push(prepare(store, plans, step.namespace_id, *id, &order).await?);
            }
            Ok(step.fork(&forks, wakeups).await?)
        }
    }
}

/// The fork of an execution, or why there cannot be one.
async fn prepare(
    store: &Store,
    plans: &Plans,
    namespace_id: i32,
    id: Uuid,
    order: &ForkOrder,
) -> anyhow::Result<Result<NewFork, String>> {
    let of = match store.execution(namespace_id, id).await {
        Ok(execution) => execution,
        Err(error @ StoreError::NotFound { .. }) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    if of.kinship.as_ref().is_some_and(|kin| kin.block.is_some()) {
        return Ok(Err(format!("execution {id} is a part of another")));
    }
    let version = order.version.unwrap_or(of.version);
    match store.version(of.workflow_id, version).await {
        Ok(_) => {}
        Err(StoreError::NotFound { .. }) => {
            return Ok(Err(format!("workflow `{}` has no version {version}", of.workflow)));
        }
        Err(error) => return Err(error.into()),
    }
    let plan = plans.get(of.workflow_id, version).await?;
    let prepared = store.prepare_fork(&of, order, &plan).await?;
    Ok(prepared.map_err(|refusal| refusal.to_string()))
}
