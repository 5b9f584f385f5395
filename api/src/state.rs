//! What the handlers share.

use std::sync::Arc;
use std::time::Duration;

use engine::callback::CallbackKey;
use engine::control;
use engine::definition::{Definition, Step};
use engine::plan::Plan;
use engine::policy::{PluginPolicy, PolicyPair};
use native::NativeSteps;
use prometheus::{HistogramOpts, HistogramVec};
use sandbox::Sandbox;
use secrets::Keyring;
use store::events::Events;
use store::executions::Execution;
use store::starts::Starter;
use store::wakeups::Wakeups;
use store::workflows::Workflow;
use store::{DEFAULT_NAMESPACE, Store, StoreError};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::admission::PIECE_BYTES;
use crate::error::ApiError;
use crate::monitoring::Monitoring;
use crate::plugins::metrics::UploadMetrics;
use crate::rate_limit::{Clients, RateLimit};

/// Published definitions that are kept at hand for starting.
const KEPT_VERSIONS: u64 = 1_000;
/// Streams of events that are open at a time: each asks the database a few times a second.
const STREAMS_AT_ONCE: usize = 1_000;
/// Uploads that are in memory at a time.
const UPLOADS_AT_ONCE: usize = 2;

/// Workflows whose newest version is remembered, and for how long at most.
const KEPT_WORKFLOWS: u64 = 10_000;
const WORKFLOWS_KEPT_FOR: Duration = Duration::from_mins(1);

/// What the API works with.
pub struct ApiParts {
    /// Where everything is.
    pub store: Store,
    /// Starts executions.
    pub starter: Starter,
    /// Stores events.
    pub events: Events,
    /// The process's wake-ups.
    pub wakeups: Wakeups,
    /// The built-in step types.
    pub native: NativeSteps,
    /// Judges and compiles uploads.
    pub sandbox: Sandbox,
    /// What seals secrets; without it, none can be set.
    pub secrets: Option<Keyring>,
    /// What the installation allows the plugins of all namespaces.
    pub operator: PluginPolicy,
    /// What the process says of itself.
    pub monitoring: Monitoring,
    /// What each client may ask for.
    pub rate_limit: RateLimit,
    /// The largest upload, in bytes.
    pub max_upload_bytes: usize,
    /// What the blobs of a namespace may take, in bytes.
    pub max_blob_bytes: u64,
    /// The longest `?wait=`.
    pub max_wait: Duration,
    /// How many bytes of starts may be on their way into the database.
    pub start_room_bytes: usize,
}

/// The state of the router.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

/// What stands behind an [`ApiState`].
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) starter: Starter,
    pub(crate) events: Events,
    pub(crate) wakeups: Wakeups,
    pub(crate) native: NativeSteps,
    pub(crate) sandbox: Sandbox,
    pub(crate) secrets: Option<Keyring>,
    operator: PluginPolicy,
    pub(crate) monitoring: Monitoring,
    pub(crate) clients: Clients,
    pub(crate) request_seconds: HistogramVec,
    pub(crate) upload_metrics: UploadMetrics,
    pub(crate) max_upload_bytes: usize,
    pub(crate) max_blob_bytes: u64,
    pub(crate) max_wait: Duration,
    definitions: moka::future::Cache<(Uuid, i32), Arc<Definition>>,
    workflows: moka::future::Cache<String, Arc<Workflow>>,
    namespace_id: i32,
    callbacks: OnceCell<CallbackKey>,
    room: Arc<Semaphore>,
    uploads: Semaphore,
    streams: Arc<Semaphore>,
    room_pieces: u32,
}

impl std::ops::Deref for ApiState {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl ApiState {
    /// The state of a router. Fails if the registry has the API's metrics already.
    pub fn new(parts: ApiParts) -> Result<Self, prometheus::Error> {
        let request_seconds = HistogramVec::new(
            HistogramOpts::new(
                "stateflow_http_request_duration_seconds",
                "wall clock of API requests",
            )
            .buckets(prometheus::exponential_buckets(0.0005, 4.0, 9)?),
            &["method", "route", "status"],
        )?;
        let registry = &parts.monitoring.registry;
        registry.register(Box::new(request_seconds.clone()))?;
        let upload_metrics = UploadMetrics::register(registry)?;
        let room_pieces = pieces(parts.start_room_bytes);
        Ok(Self(Arc::new(Inner {
            store: parts.store,
            starter: parts.starter,
            events: parts.events,
            wakeups: parts.wakeups,
            native: parts.native,
            sandbox: parts.sandbox,
            secrets: parts.secrets,
            operator: parts.operator,
            monitoring: parts.monitoring,
            clients: Clients::new(parts.rate_limit),
            request_seconds,
            upload_metrics,
            max_upload_bytes: parts.max_upload_bytes,
            max_blob_bytes: parts.max_blob_bytes,
            max_wait: parts.max_wait,
            definitions: moka::future::Cache::new(KEPT_VERSIONS),
            workflows: moka::future::Cache::builder()
                .max_capacity(KEPT_WORKFLOWS)
                .time_to_live(WORKFLOWS_KEPT_FOR)
                .build(),
            namespace_id: DEFAULT_NAMESPACE,
            callbacks: OnceCell::new(),
            room: Arc::new(Semaphore::new(room_pieces as usize)),
            uploads: Semaphore::new(UPLOADS_AT_ONCE),
            streams: Arc::new(Semaphore::new(STREAMS_AT_ONCE)),
            room_pieces,
        })))
    }

    /// A place among the uploads that are in memory, once there is one.
    pub(crate) async fn upload_room(&self) -> SemaphorePermit<'_> {
        self.uploads.acquire().await.expect("the semaphore is never closed")
    }

    /// A place among the streams that are open, if there is one.
    pub(crate) fn stream_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// The namespace of a request: there is one so far.
    pub(crate) fn namespace(&self) -> i32 {
        self.0.namespace_id
    }

    /// What the namespace's plugins are allowed, by its own policy and by the installation's.
    pub(crate) async fn policies(&self) -> Result<PolicyPair, StoreError> {
        let namespace = self.store.policy(self.namespace()).await?.policy.plugins;
        Ok(PolicyPair { operator: self.operator.clone(), namespace })
    }

    /// Room for a start of this size, if there is any. What is larger than all the room gets all of it.
    pub(crate) fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let room = Arc::clone(&self.room);
        room.try_acquire_many_owned(pieces(bytes).min(self.room_pieces))
            .map_err(|_| ApiError::overloaded())
    }

    /// A workflow by id or name, as remembered. Which version is its newest may have changed meanwhile: starting an
    /// execution finds that out, and then it has to be forgotten.
    pub(crate) async fn workflow(&self, name_or_id: &str) -> Result<Arc<Workflow>, StoreError> {
        if let Some(known) = self.workflows.get(name_or_id).await {
            return Ok(known);
        }
        let workflow = Arc::new(self.store.workflow(self.namespace(), name_or_id).await?);
        self.workflows.insert(name_or_id.to_owned(), Arc::clone(&workflow)).await;
        Ok(workflow)
    }

    /// Looks the workflow up again next time.
    pub(crate) async fn forget_workflow(&self, name_or_id: &str) {
        self.workflows.invalidate(name_or_id).await;
    }

    /// A published definition; versions never change, so it is read once.
    pub(crate) async fn definition(
        &self,
        workflow_id: Uuid,
        version: i32,
    ) -> Result<Arc<Definition>, StoreError> {
        let key = (workflow_id, version);
        if let Some(known) = self.definitions.get(&key).await {
            return Ok(known);
        }
        let stored = self.store.version(workflow_id, version).await?;
        let definition = serde_json::from_value(stored.definition)
            .map_err(|source| StoreError::Corrupt { what: "definition", source })?;
        let definition = Arc::new(definition);
        self.definitions.insert(key, Arc::clone(&definition)).await;
        Ok(definition)
    }

    /// The plan of a version.
    pub(crate) async fn plan(&self, workflow_id: Uuid, version: i32) -> Result<Plan, StoreError> {
        let stored = self.store.version(workflow_id, version).await?;
        let definition = self.definition(workflow_id, version).await?;
        Plan::compile(&definition, version, &stored.plugin_lock).map_err(|errors| {
            tracing::error!(?errors, "a stored definition no longer compiles");
            StoreError::Settings("a stored definition does not compile".into())
        })
    }

    /// The key that wait tokens are made with.
    pub(crate) async fn callback_key(&self) -> Result<CallbackKey, StoreError> {
        self.callbacks.get_or_try_init(|| self.store.callback_key()).await.copied()
    }

    /// The steps that an execution runs: its version's, or its block's.
    pub(crate) async fn steps(&self, execution: &Execution) -> Result<Vec<Step>, StoreError> {
        let definition = self.definition(execution.workflow_id, execution.version).await?;
        let block = execution.kinship.as_ref().and_then(|kin| kin.block.as_ref());
        let Some(block) = block else { return Ok(definition.steps.clone()) };
        let region =
            control::regions(&definition).into_iter().find(|it| it.name.as_ref() == Some(block));
        Ok(region.map_or_else(Vec::new, |region| region.steps))
    }
}

fn pieces(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}
