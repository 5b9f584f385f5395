//! Wires a process together: which parts there are, who is told to stop, and in which order they end.

use std::io::IsTerminal;
use std::num::NonZeroU32;

use anyhow::{Context, bail};
use api::{ApiParts, ApiState, Monitoring, RateLimit};
use engine::policy::Policy;
use native::NativeSteps;
use prometheus::Registry;
use sandbox::Sandbox;
use secrets::Keyring;
use store::events::Events;
use store::starts::Starter;
use store::wakeups::Wakeups;
use store::{Store, StoreSettings};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use traces::Traces;
use tracing_subscriber::EnvFilter;
use worker::{Policies, Worker, WorkerMetrics, WorkerParts};

use crate::arguments::SettingsOptions;
use crate::configuration;

/// The longest `?wait=`.
const MAX_WAIT: std::time::Duration = std::time::Duration::from_mins(5);

/// What starts on their way into the database may hold: 512 small ones, or 20 of the largest.
const START_ROOM_BYTES: usize = 64 << 20;

/// Which roles a process plays.
pub(crate) struct Roles {
    /// The API, on this listener.
    pub(crate) api: Option<TcpListener>,
    /// Probes and metrics alone, on this listener: of a process without the API.
    pub(crate) monitoring: Option<TcpListener>,
    /// A worker.
    pub(crate) worker: bool,
}

/// Plays the roles until `stop`, then ends them: first what takes new work, then what finishes old work. Logs that it is
/// `ready` when all of them play.
pub(crate) async fn run(
    store_settings: StoreSettings,
    options: &SettingsOptions,
    roles: Roles,
    ready: &str,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let process = Process::open(store_settings, options).await?;
    fits(&process.store).await?;
    let relaying = CancellationToken::new();
    let relay =
        tokio::spawn(process.wakeups.clone().relay(process.store.clone(), relaying.clone()));
    let mut parts = JoinSet::new();
    let mut writers: Vec<JoinHandle<()>> = Vec::new();
    if let Some(listener) = roles.api {
        let (starter, starting) = Starter::open(process.store.clone(), process.wakeups.clone());
        let (events, storing) = Events::open(process.store.clone());
        writers.extend([starting, storing]);
        let (state, stop) = (process.api(starter, events, options)?, stop.clone());
        parts.spawn(
            async move { api::serve(listener, state, stop).await.context("the API failed") },
        );
    }
    if let Some(listener) = roles.monitoring {
        let (monitoring, stop) = (process.monitoring.clone(), stop.clone());
        parts.spawn(async move {
            monitoring.serve(listener, stop).await.context("the monitoring listener failed")
        });
    }
    if roles.worker {
        let (worker, stop) = (process.worker(options)?, stop.clone());
        parts.spawn(async move { worker.run(stop).await.context("the worker failed") });
    }
    tracing::info!("{ready}");
    let outcome = end_together(&mut parts, &stop).await;
    relaying.cancel();
    relay.await.context("the relay of wake-ups panicked")?;
    for writer in writers {
        writer.await.context("a writer of starts or events panicked")?;
    }
    process.store.close().await;
    // The last spans, while nothing else is left to do.
    tokio::task::spawn_blocking(move || process.traces.shutdown()).await.context("the spans")?;
    outcome
}

/// A build runs on its own schema, and on newer ones that have taken nothing away from it (record 31). On any other, every
/// request would fail, each in its own way.
async fn fits(store: &Store) -> anyhow::Result<()> {
    let (known, found) = (Store::latest_schema_version(), store.schema_version().await?);
    match found {
        None => {
            bail!("the database has no schema yet: run `stateflow migrate`, and start this again")
        }
        Some(version) if version < known => bail!(
            "the database's schema is at version {version}, and this build needs {known}: run `stateflow migrate`, and start this again"
        ),
        Some(version) if store.oldest_known().await? > known => bail!(
            "the database's schema is at version {version}, which is too new for this build; it knows {known}: use a newer build"
        ),
        Some(_) => Ok(()),
    }
}

/// What the roles of a process share.
struct Process {
    store: Store,
    wakeups: Wakeups,
    registry: Registry,
    monitoring: Monitoring,
    sandbox: Sandbox,
    operator: Policy,
    policies: Policies,
    native: NativeSteps,
    keys: Option<Keyring>,
    traces: Traces,
}

impl Process {
    async fn open(
        store_settings: StoreSettings,
        options: &SettingsOptions,
    ) -> anyhow::Result<Self> {
        let sandbox = Sandbox::new(configuration::sandbox(options)?)
            .context("cannot set up the plugin sandbox")?;
        let operator = configuration::operator_policy(options)?;
        let registry = Registry::new();
        let traces = configuration::traces(options, &registry)?;
        let (egress, private) = configuration::egress(options)?;
        let egress = egress.traced(traces.clone());
        let keys = configuration::secrets_keys(options)?;
        let store = Store::open(store_settings).await.context("cannot reach the database")?;
        let policies = Policies::new(store.clone(), egress.clone(), operator.clone(), private);
        let native = configuration::native_steps(egress, policies.clone());
        store.register_metrics(&registry)?;
        // Elsewhere the system has no `/proc` to read them from.
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let monitoring = Monitoring::new(store.clone(), registry.clone());
        let wakeups = Wakeups::default();
        Ok(Self {
            store,
            wakeups,
            registry,
            monitoring,
            sandbox,
            operator,
            policies,
            native,
            keys,
            traces,
        })
    }

    fn api(
        &self,
        starter: Starter,
        events: Events,
        options: &SettingsOptions,
    ) -> anyhow::Result<ApiState> {
        Ok(ApiState::new(ApiParts {
            store: self.store.clone(),
            starter,
            events,
            wakeups: self.wakeups.clone(),
            native: self.native.clone(),
            sandbox: self.sandbox.clone(),
            secrets: self.keys.clone(),
            operator: self.operator.plugins.clone(),
            monitoring: self.monitoring.clone(),
            rate_limit: RateLimit {
                per_second: NonZeroU32::new(options.rate_limit),
                behind_proxy: options.behind_proxy,
            },
            max_upload_bytes: options.max_upload_bytes,
            max_blob_bytes: options.max_blob_bytes,
            max_wait: MAX_WAIT,
            start_room_bytes: START_ROOM_BYTES,
        })?)
    }

    fn worker(&self, options: &SettingsOptions) -> anyhow::Result<Worker> {
        let parts = WorkerParts {
            store: self.store.clone(),
            wakeups: self.wakeups.clone(),
            native: self.native.clone(),
            sandbox: self.sandbox.clone(),
            policies: self.policies.clone(),
            secrets: self.keys.clone(),
            metrics: WorkerMetrics::register(&self.registry)?,
            traces: self.traces.clone(),
        };
        Ok(Worker::new(configuration::worker(options), parts))
    }
}

/// Waits for all parts; the first that fails stops the others.
async fn end_together(
    parts: &mut JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        let ended = ended.context("a part of the process panicked").and_then(|ended| ended);
        if let Err(error) = ended
            && outcome.is_ok()
        {
            outcome = Err(error);
        }
        stop.cancel();
    }
    outcome
}

/// Cancelled at the first SIGINT or SIGTERM; a second one ends the process at once.
pub(crate) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if told.is_cancelled() {
                tracing::warn!("told to stop again: ending without waiting");
                std::process::exit(1);
            }
            told.cancel();
            tracing::info!("stopping");
        }
    });
    Ok(stop)
}

/// Structured logs to standard error, filtered by `RUST_LOG`.
pub(crate) fn start_logging(options: &SettingsOptions) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // It would say so on standard error, and panic: a log that nobody reads any more must not end whoever logs.
        .log_internal_errors(false)
        .with_target(false);
    if options.log_format == "json" {
        logs.json().init();
    } else {
        logs.init();
    }
}
