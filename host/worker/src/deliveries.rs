//! Delivers messages: to the executions that wait for them, and to the workflows that they start. Steps actions on many
//! executions besides.

mod bulk;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use engine::machine::State;
use engine::message::Message;
use engine::plan::Plan;
use engine::searchable::Terms;
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

/// The wait between two steps of an action on many executions that has a rate, or waits for its first ones.
const BULK_STEP: Duration = Duration::from_millis(200);
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
            let idle = match self.turn().await {
                Ok(None) => continue,
                Ok(Some(idle)) => idle,
                Err(error) => {
                    tracing::warn!("messages could not be delivered: {error:#}");
                    self.every
                }
            };
            tokio::select! {
                () = self.wakeups.messages_arrive() => {}
                () = tokio::time::sleep(idle) => {}
            }
        }
    }

    /// Does what there is to do. Returns how long to be idle then; `None` if there may be more.
    async fn turn(&self) -> anyhow::Result<Option<Duration>> {
        let (messages, actions) = self.store.errands().await?;
        if messages && self.deliver().await? > 0 {
            return Ok(None);
        }
        if !actions {
            return Ok(Some(self.every));
        }
        let more = match self.store.next_bulk_step().await? {
            Some(step) => bulk::take(&self.store, &self.plans, &self.wakeups, step).await?,
            None => false,
        };
        Ok(if more { None } else { Some(BULK_STEP) })
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
    let input = match on.input_for(message, &plan.vars, now) {
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
        revision: 0,
        state: State {
            trigger: Some(trigger),
            trace: it.trace,
            ..State::new(now, plan.deadline_ms)
        },
        input: input.to_string().into(),
        terms: Terms::of(&plan.searchable, input),
        labels: BTreeMap::new(),
        due_at: None,
        idempotency_key: None,
        watched: false,
    }
}
