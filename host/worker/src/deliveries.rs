//! Delivers messages: to the executions that wait for them, and to the workflows that they start.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use engine::machine::State;
use engine::message::Message;
use engine::plan::Plan;
use engine::trigger::EventTrigger;
use engine::validate::check_instance;
use serde_json::{Value, json};
use store::Store;
use store::messages::Undelivered;
use store::starts::NewExecution;
use store::wakeups::Wakeups;
use uuid::Uuid;

use crate::clock::DatabaseClock;
use crate::plans::Plans;

/// Messages of one transaction.
const BATCH: i64 = 100;

pub(crate) struct Deliveries {
    pub(crate) store: Store,
    pub(crate) wakeups: Wakeups,
    pub(crate) plans: Plans,
    pub(crate) clock: DatabaseClock,
    /// How often to look for what nothing told of.
    pub(crate) every: Duration,
}

impl Deliveries {
    /// Delivers until dropped.
    pub(crate) async fn run(&self) {
        let _delivers = self.wakeups.delivers();
        loop {
            match self.deliver().await {
                Ok(0) => {
                    tokio::select! {
                        () = self.wakeups.messages_arrive() => {}
                        () = tokio::time::sleep(self.every) => {}
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("messages could not be delivered: {error:#}");
                    tokio::time::sleep(self.every).await;
                }
            }
        }
    }

    async fn deliver(&self) -> anyhow::Result<usize> {
        let messages = self.store.undelivered(BATCH).await?;
        if messages.is_empty() {
            return Ok(0);
        }
        let mut starts = HashMap::new();
        for it in &messages {
            let started = self.started_by(it).await?;
            if !started.is_empty() {
                starts.insert(it.message.id, started);
            }
        }
        Ok(self.store.deliver(&messages, &starts, &self.wakeups).await?)
    }

    /// The executions that a message starts.
    async fn started_by(&self, it: &Undelivered) -> anyhow::Result<Vec<NewExecution>> {
        let mut started = Vec::new();
        let triggered = self.store.triggered(it.namespace_id, &it.message.name).await?;
        for (workflow_id, version) in triggered {
            let plan = self.plans.get(workflow_id, version).await?;
            let now = self.clock.now();
            let inputs = plan.triggers.iter().filter_map(|on| input(&plan, on, &it.message, now));
            started.extend(inputs.map(|input| start(it, workflow_id, &plan, &input, now)));
        }
        Ok(started)
    }
}

/// The input of the execution that a message starts by a trigger. One that the workflow does not take starts none: there
/// is nobody to tell but the operator.
fn input(plan: &Plan, on: &EventTrigger, message: &Message, now: DateTime<Utc>) -> Option<Value> {
    let refused = |why: String| {
        let (workflow, id) = (&plan.workflow, message.id);
        tracing::warn!(workflow, message = %id, why, "an event starts no execution");
    };
    let input = match on.input_for(message, now) {
        Ok(input) => input?,
        Err(error) => {
            refused(error.to_string());
            return None;
        }
    };
    let schema = plan.input_schema.as_ref();
    match schema.and_then(|schema| check_instance(schema, &input).pop()) {
        Some(problem) => {
            refused(problem.message);
            None
        }
        None => Some(input),
    }
}

fn start(
    it: &Undelivered,
    workflow_id: Uuid,
    plan: &Plan,
    input: &Value,
    now: DateTime<Utc>,
) -> NewExecution {
    let event = json!({ "id": it.message.id, "name": it.message.name });
    let trigger = Arc::new(json!({ "type": "event", "event": event }));
    NewExecution {
        id: Uuid::now_v7(),
        namespace_id: it.namespace_id,
        workflow_id,
        version: plan.version,
        pinned: true,
        state: State { trigger: Some(trigger), ..State::new(now, plan.deadline_ms) },
        input: input.to_string().into(),
        labels: BTreeMap::new(),
        due_at: None,
        idempotency_key: None,
        watched: false,
    }
}
