//! The worker: one tenure after another until it is told to stop, then the drain.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use native::NativeSteps;
use sandbox::Sandbox;
use secrets::Keyring;
use store::Store;
use store::retention::Retention;
use store::wakeups::Wakeups;
use store::workers::NewWorker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use traces::Traces;
use uuid::Uuid;

use crate::archive::Archive;
use crate::attempts::Attempts;
use crate::claimer::Claimer;
use crate::clock::DatabaseClock;
use crate::deliveries::Deliveries;
use crate::driver::Shared;
use crate::endings::Endings;
use crate::intake::Intake;
use crate::kin::Kin;
use crate::maintenance::{Heartbeats, reap};
use crate::metrics::WorkerMetrics;
use crate::plans::Plans;
use crate::plugins::Plugins;
use crate::policies::Policies;
use crate::retention::Retiring;
use crate::tenure::Tenure;
use crate::vault::Vault;
use crate::warming::Warming;

/// The wait before registering again after the database was away.
const REGISTER_AGAIN: Duration = Duration::from_millis(500);

/// What an operator can set.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// How many attempts are under way at once.
    pub concurrency: u32,
    /// How long the leases hold without a heartbeat. A heartbeat goes out three times as often.
    pub lease: Duration,
    /// How often to look for work that no wake-up told of.
    pub poll: Duration,
    /// A wait for the next attempt that is shorter than this is spent in memory.
    pub short_wait: Duration,
    /// How long attempts may go on after the worker was told to stop.
    pub drain: Duration,
    /// The longest that any attempt may take, whatever its step asks for.
    pub max_attempt: Duration,
    /// What the blobs of a namespace may take, in bytes.
    pub max_blob_bytes: u64,
    /// How long things are kept.
    pub retention: Retention,
    /// Where what is deleted is archived first, if it is.
    pub archive_dir: Option<PathBuf>,
    /// The machine's name, for people.
    pub host: String,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            concurrency: u32::try_from(cores * 10).unwrap_or(u32::MAX),
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            short_wait: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            max_attempt: Duration::from_mins(15),
            max_blob_bytes: 1 << 30,
            retention: Retention::default(),
            archive_dir: None,
            host: String::new(),
        }
    }
}

/// What a worker works with.
#[derive(Clone)]
pub struct WorkerParts {
    /// Where executions are.
    pub store: Store,
    /// The process's wake-ups.
    pub wakeups: Wakeups,
    /// The built-in step types.
    pub native: NativeSteps,
    /// Where plugins run.
    pub sandbox: Sandbox,
    /// What namespaces are allowed.
    pub policies: Policies,
    /// What opens secrets; without it, steps that use one fail.
    pub secrets: Option<Keyring>,
    /// What it counts.
    pub metrics: WorkerMetrics,
    /// Where its spans go.
    pub traces: Traces,
}

/// A worker.
pub struct Worker {
    settings: WorkerSettings,
    store: Store,
    wakeups: Wakeups,
    shared: Arc<Shared>,
    drivers: TaskTracker,
}

impl Worker {
    /// A worker that has not begun.
    pub fn new(settings: WorkerSettings, parts: WorkerParts) -> Self {
        let plugins = Plugins::new(parts.store.clone(), parts.sandbox);
        let shared = Shared {
            intake: Arc::new(Intake::new(settings.concurrency as usize)),
            clock: DatabaseClock::default(),
            kin: Kin::new(
                parts.store.clone(),
                Plans::new(parts.store.clone()),
                parts.traces.clone(),
            ),
            attempts: Attempts {
                native: parts.native,
                plugins,
                policies: parts.policies,
                vault: Vault::new(parts.store.clone(), parts.secrets),
                metrics: parts.metrics.clone(),
                store: parts.store.clone(),
                max_attempt: settings.max_attempt,
                max_blob_bytes: settings.max_blob_bytes,
            },
            store: parts.store.clone(),
            endings: Endings::new(parts.metrics.finished.clone()),
            metrics: parts.metrics,
            traces: parts.traces,
            short_wait: settings.short_wait,
            draining: CancellationToken::new(),
            abort: CancellationToken::new(),
        };
        Self {
            store: parts.store,
            wakeups: parts.wakeups,
            shared: Arc::new(shared),
            drivers: TaskTracker::new(),
            settings,
        }
    }

    /// Works until `stop`, then drains: attempts under way get [`WorkerSettings::drain`] to end, what is not
    /// begun goes back to the queue.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let over = CancellationToken::new();
        let adding =
            tokio::spawn(self.shared.endings.clone().keep_adding(self.store.clone(), over.clone()));
        let warming = Warming {
            store: self.store.clone(),
            kin: self.shared.kin.clone(),
            attempts: self.shared.attempts.clone(),
        };
        let _warming = AbortOnDropHandle::new(tokio::spawn(warming.run()));
        let mut writers = Vec::new();
        let mut last = None;
        while !stop.is_cancelled() {
            let Some((tenure, writer)) = self.register(&stop).await else { break };
            writers.retain(|(_, writer): &(Uuid, JoinHandle<()>)| !writer.is_finished());
            writers.push((tenure.worker_id, writer));
            self.serve(&tenure, &stop).await;
            last = Some(tenure.lost.clone());
        }
        self.drain().await;
        last.iter().for_each(CancellationToken::cancel);
        for (worker_id, writer) in writers {
            writer.await.context("the journal's writer panicked")?;
            self.store.deregister_worker(worker_id).await?;
        }
        over.cancel();
        adding.await.context("adding up what ended panicked")
    }

    /// Registers under a new id, for as long as it takes. `None` when told to stop.
    async fn register(&self, stop: &CancellationToken) -> Option<(Tenure, JoinHandle<()>)> {
        loop {
            let new = NewWorker {
                id: Uuid::now_v7(),
                host: self.settings.host.clone(),
                pid: std::process::id(),
                build: env!("CARGO_PKG_VERSION").to_owned(),
                concurrency: self.settings.concurrency,
                lease: self.settings.lease,
            };
            match self.store.register_worker(&new).await {
                Ok(now) => {
                    self.shared.clock.observe(now);
                    tracing::info!(worker_id = %new.id, concurrency = new.concurrency, "worker registered");
                    return Some(Tenure::begin(&self.store, new.id, &self.wakeups));
                }
                Err(error) => {
                    tracing::warn!(error = ?error, "the worker could not register; trying again");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(REGISTER_AGAIN) => {}
            }
        }
    }

    /// Claims and drives until told to stop or the lease is lost.
    async fn serve(&self, tenure: &Tenure, stop: &CancellationToken) {
        let claimer = Claimer {
            store: self.store.clone(),
            wakeups: self.wakeups.clone(),
            tenure: tenure.clone(),
            shared: Arc::clone(&self.shared),
            drivers: self.drivers.clone(),
            poll: self.settings.poll,
            reconcile: self.settings.lease / 3,
        };
        let deliveries = Deliveries {
            store: self.store.clone(),
            wakeups: self.wakeups.clone(),
            plans: self.shared.kin.plans.clone(),
            clock: self.shared.clock.clone(),
            every: self.settings.lease / 3,
        };
        let retiring = Retiring {
            store: self.store.clone(),
            retention: self.settings.retention,
            archive: self.settings.archive_dir.as_ref().map(Archive::new),
        };
        let heartbeats = self.heartbeats(tenure);
        let beating = tokio::spawn(heartbeats.run());
        tokio::select! {
            () = stop.cancelled() => {}
            () = tenure.lost.cancelled() => tracing::warn!(worker_id = %tenure.worker_id, "the lease was lost"),
            () = claimer.run() => {}
            () = deliveries.run() => {}
            () = reap(&self.store, &self.shared.metrics, self.settings.lease / 3) => {}
            // Apart from the reaper: nobody's leases wait for it.
            () = Box::pin(retiring.run(&self.shared.metrics.deleted)) => {}
        }
        // While draining the leases have to live on; the beating ends with the tenure's last handle.
        drop(beating);
    }

    fn heartbeats(&self, tenure: &Tenure) -> Heartbeats {
        Heartbeats {
            store: self.store.clone(),
            wakeups: self.wakeups.clone(),
            tenure: tenure.clone(),
            clock: self.shared.clock.clone(),
            lease: self.settings.lease,
            over: self.shared.abort.clone(),
        }
    }

    async fn drain(&self) {
        self.shared.draining.cancel();
        self.drivers.close();
        let under_way = self.drivers.len();
        if under_way > 0 {
            tracing::info!(executions = under_way, "draining");
        }
        if tokio::time::timeout(self.settings.drain, self.drivers.wait()).await.is_err() {
            tracing::warn!(
                executions = self.drivers.len(),
                "attempts did not end in time and are stopped"
            );
        }
        self.shared.abort.cancel();
        self.drivers.wait().await;
    }
}
