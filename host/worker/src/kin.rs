//! What driving an execution needs to know of others: the one around its block, the ones that it begins, what came of them.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use chrono::{DateTime, Utc};
use engine::callback::CallbackKey;
use engine::control::is_of_items;
use engine::failure::{ErrorCode, Failure};
use engine::machine::{
    Called, Cursor, Event, Execution, Fact, Family, Item, Outcome, State, Surroundings, Told,
};
use engine::plan::{Plan, Work};
use engine::searchable::Terms;
use engine::trace::TraceParent;
use engine::validate::check_instance;
use moka::future::Cache;
use store::families::Kinship;
use store::journal::{Birth, KinAct};
use store::leases::Claimed;
use store::{Store, StoreError};
use tokio::sync::OnceCell;
use traces::Traces;
use uuid::Uuid;

use crate::plans::Plans;

/// The bytes of stored text whose surroundings are kept ready. Parsed, they are a few times as large.
const KEPT_BYTES: u64 = 16 << 20;
/// Problems with an input that a failure names.
const MAX_PROBLEMS: usize = 10;

/// Knows the other executions.
#[derive(Clone)]
pub(crate) struct Kin {
    store: Store,
    pub(crate) plans: Plans,
    callbacks: Arc<OnceCell<CallbackKey>>,
    surroundings: Cache<(Uuid, u32), (Arc<Surroundings>, u32)>,
    traces: Traces,
}

/// What an execution is begun from.
pub(crate) struct Origin {
    pub(crate) namespace_id: i32,
    pub(crate) workflow_id: Uuid,
    pub(crate) version: i32,
}

impl Kin {
    pub(crate) fn new(store: Store, plans: Plans, traces: Traces) -> Self {
        let surroundings = Cache::builder()
            .max_capacity(KEPT_BYTES)
            .weigher(|_, (_, bytes): &(Arc<Surroundings>, u32)| *bytes)
            .build();
        Self { store, plans, callbacks: Arc::default(), surroundings, traces }
    }

    /// A claimed execution, ready to be driven: with its plan, and what is around its block.
    pub(crate) async fn execution(&self, claimed: Claimed) -> anyhow::Result<Execution> {
        let Claimed { execution_id: id, workflow_id, version, kinship, state, input, .. } = claimed;
        let (plan, input) = (self.plans.get(workflow_id, version).await?, Arc::new(input));
        let callbacks = match self.callbacks.get() {
            Some(key) => *key,
            None => *Box::pin(self.callbacks.get_or_try_init(|| self.store.callback_key())).await?,
        };
        let block = kinship.as_ref().and_then(|kin| Some((kin, kin.block.as_deref()?)));
        let Some((kin, block)) = block else {
            let own = TraceParent::of_execution(id);
            let sampled = self.traces.samples(own, state.trace);
            let (around, item) = (None, None);
            return Ok(Execution { id, plan, input, around, item, callbacks, sampled, state });
        };
        let plan = plan.block(block).cloned();
        let plan = plan.with_context(|| format!("there is no block `{block}`"))?;
        let around = Box::pin(self.around(kin)).await?;
        let item = is_of_items(block).then(|| Item { value: input, index: kin.ordinal });
        let input = Arc::clone(&around.input);
        let sampled = self.traces.samples(TraceParent::of_execution(id), around.trace);
        let around = Some(around);
        Ok(Execution { id, plan, input, around, item, callbacks, sampled, state })
    }

    async fn around(&self, kin: &Kinship) -> anyhow::Result<Arc<Surroundings>> {
        let load = async {
            let (around, bytes) = self.store.surroundings(kin.parent_id, kin.visit).await?;
            anyhow::Ok((Arc::new(around), u32::try_from(bytes).unwrap_or(u32::MAX)))
        };
        let found = self.surroundings.try_get_with((kin.parent_id, kin.visit), load).await;
        found.map(|(around, _)| around).map_err(|error| anyhow!("{error:#}"))
    }

    /// What a fact from the inbox says, with all that belongs to it; `None` if it is not about anything that the
    /// execution waits for.
    pub(crate) async fn event(
        &self,
        fact: Fact,
        execution: &Execution,
    ) -> Result<Option<Event>, StoreError> {
        let cursor = execution.state.cursor.as_ref();
        match fact.event() {
            Told::Event(event) => Ok(Some(event)),
            Told::Children { visit } => {
                let awaited = cursor.and_then(Cursor::children).is_some_and(|it| it.0 == visit);
                if awaited { self.outcomes(visit, execution).await.map(Some) } else { Ok(None) }
            }
            Told::Message { id } if cursor.is_some_and(|it| it.listening().is_some()) => {
                match self.store.message(id).await {
                    Ok(message) => Ok(Some(Event::MessageReceived(Box::new(message)))),
                    Err(StoreError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            }
            Told::Message { .. } => Ok(None),
        }
    }

    async fn outcomes(&self, visit: u32, execution: &Execution) -> Result<Event, StoreError> {
        let step = execution.state.cursor.as_ref().and_then(|it| execution.plan.step(&it.step));
        let outputs = step.is_some_and(|step| match &step.work {
            Work::Children(children) => children.fan.collects(),
            _ => false,
        });
        let outcomes = self.store.outcomes(execution.id, visit, outputs).await?;
        Ok(Event::ChildrenEnded { visit, outcome: Outcome::Ended(outcomes) })
    }

    /// What the store needs to begin a family; or the family's refusal, if what it calls is not to be had.
    pub(crate) async fn begin(
        &self,
        origin: &Origin,
        family: Family,
        now: DateTime<Utc>,
        begun_at: DateTime<Utc>,
    ) -> anyhow::Result<KinAct> {
        let visit = family.visit;
        let (workflow_id, version, deadline_ms, terms) = match &family.call {
            None => (origin.workflow_id, origin.version, None, Vec::new()),
            Some(called) => match self.callee(origin, called, &family).await? {
                Ok((workflow_id, plan)) => {
                    let of = |input| Terms::of(&plan.searchable, input);
                    let terms = family.children.iter().map(|child| of(&child.input)).collect();
                    (workflow_id, plan.version, plan.deadline_ms, terms)
                }
                Err(refusal) => {
                    return Ok(KinAct::Refuse(Fact::ChildrenEnded {
                        visit,
                        refusal: Some(refusal),
                    }));
                }
            },
        };
        let own = State::new(now, deadline_ms);
        let deadlines = own.deadline_at.into_iter().chain(family.deadline_at);
        let state = State {
            deadline_at: deadlines.min(),
            depth: family.depth,
            trigger: family.trigger.clone(),
            trace: family.trace,
            ..own
        };
        let namespace_id = origin.namespace_id;
        let birth = Birth { family, begun_at, namespace_id, workflow_id, version, state, terms };
        Ok(KinAct::Begin(Box::new(birth)))
    }

    /// The workflow that is called, if there is one that takes the input.
    async fn callee(
        &self,
        origin: &Origin,
        called: &Called,
        family: &Family,
    ) -> anyhow::Result<Result<(Uuid, Arc<Plan>), Failure>> {
        let Called { workflow: name, version, .. } = called;
        let workflow = match self.store.workflow(origin.namespace_id, name).await {
            Ok(workflow) => workflow,
            Err(StoreError::NotFound { .. }) => {
                return Ok(Err(refused(format!("there is no workflow `{name}`"))));
            }
            Err(error) => return Err(error.into()),
        };
        let id = family.children.first().map(|child| child.id).unwrap_or_default();
        let version = version.unwrap_or_else(|| workflow.pick(id));
        if version > workflow.latest_version {
            let latest = workflow.latest_version;
            let message =
                format!("workflow `{name}` has no version {version}, its newest is {latest}");
            return Ok(Err(refused(message)));
        }
        let plan = self.plans.get(workflow.id, version).await?;
        let inputs = family.children.iter().map(|child| &*child.input);
        let problems = plan
            .input_schema
            .iter()
            .flat_map(|schema| inputs.clone().flat_map(move |input| check_instance(schema, input)));
        let problems: Vec<_> = problems.take(MAX_PROBLEMS).collect();
        if problems.is_empty() {
            return Ok(Ok((workflow.id, plan)));
        }
        let message = format!("the input is not what workflow `{name}` takes");
        let failure = Failure::permanent(ErrorCode::InputInvalid, message);
        Ok(Err(failure.with_details(serde_json::json!({ "problems": problems }))))
    }
}

fn refused(message: String) -> Failure {
    Failure::permanent(ErrorCode::ConfigInvalid, message)
}
