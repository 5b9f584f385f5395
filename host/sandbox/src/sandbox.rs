//! The sandbox as its users see it: admit an upload, prepare a plugin, call it.
//!
//! A guest begins where it is called: most are over before the first tick. Who is not goes on on the
//! guests' own threads, and the caller's runtime only supervises: no guest can hold up its timers for
//! longer than a tick.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use chrono::Utc;
use engine::{
    attempt::{AttemptContext, AttemptReport, Outcome},
    failure::{ErrorCode, Failure},
    suspension::Resumption,
};
use secrets::Holder;
use serde_json::Value;
use tokio::time;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use wasmtime::Engine;

use crate::{
    admission::{self, Admitted, Manifest, PluginKind},
    attempt::{Attempt, Ended, What, Work},
    bindings::step::stateflow::plugin::types::Call,
    blobs::Blobs,
    building::Order,
    compiler::{Compiler, Made},
    config::{CallLimits, SandboxConfig},
    error::SandboxError,
    guest::Streams,
    guest_threads::GuestThreads,
    host_calls::HostCalls,
    live::Live,
    outbound::Reach,
    prepared::Prepared,
    request_tally::RequestCounts,
    reveals::Reveals,
    ticker::Ticker,
    turns::{Share, Turns},
    verdict::{self, Bench},
    wasm_engine::WasmEngine,
};

/// How much later than the guest's own clock the supervisor gives up on it. Guests are preempted at
/// every tick, but one bulk memory operation cannot be.
const GRACE: Duration = Duration::from_millis(250);

/// What a manifest may cost: it is asked for at upload, before anybody has granted the plugin
/// anything.
const DESCRIBE_FUEL: u64 = 100_000_000;
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs untrusted plugins. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    config: Arc<SandboxConfig>,
    engine: Engine,
    compiler: Compiler,
    turns: Turns,
    guests: GuestThreads,
    ticker: Ticker,
}

/// One attempt, as it is asked for.
#[derive(Clone, Debug)]
pub struct PluginCall {
    /// Whose attempt it is.
    pub attempt: AttemptContext,
    /// The step's resolved config: the plugin's input.
    pub config: Value,
    /// Lowered to the operator's ceilings.
    pub limits: CallLimits,
    /// How much of the sandbox its namespace and its plugin may hold.
    pub share: Share,
    /// What it may reach; nothing, if nothing is given.
    pub reach: Option<Reach>,
    /// The secrets that it may use; none, if none is given.
    pub holder: Option<Arc<Holder>>,
    /// What the step left behind when it last suspended itself.
    pub resumption: Option<Arc<Resumption>>,
    /// Whether it may suspend itself.
    pub may_suspend: bool,
    /// What is to be seen of the attempt while it is under way.
    pub live: Live,
    /// Where its namespace's blobs are; nowhere, if nothing is given.
    pub blobs: Option<Arc<dyn Blobs>>,
    /// Where it is put on record that the plugin sees a secret.
    pub reveals: Option<Arc<dyn Reveals>>,
    /// Stops the guest within about one tick.
    pub cancel: CancellationToken,
}

impl PluginCall {
    /// A call with nothing but its input and its limits: it reaches nothing and holds no secret.
    pub fn new(attempt: AttemptContext, config: Value, limits: CallLimits) -> Self {
        Self {
            attempt,
            config,
            limits,
            share: Share::WHOLE,
            reach: None,
            holder: None,
            resumption: None,
            may_suspend: true,
            live: Live::default(),
            blobs: None,
            reveals: None,
            cancel: CancellationToken::new(),
        }
    }
}

/// What came of an attempt and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginReport {
    /// Output, failure or suspension, and the log.
    pub report: AttemptReport,
    /// Fuel that the guest used.
    pub fuel_used: u64,
    /// The most linear memory that it held.
    pub peak_memory_bytes: u64,
    /// How long it was on a processor.
    pub busy: Duration,
    /// Requests that it made or was denied, by host.
    pub requests: RequestCounts,
    /// Log lines over the limits.
    pub dropped_lines: u64,
    /// Calls of the host's interfaces.
    pub host_calls: HostCalls,
}

/// How much of the pool that instances come from is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Core instances.
    pub instances: u64,
    /// Linear memories.
    pub memories: usize,
    /// Memory of unused slots that is kept resident, in bytes.
    pub warm_bytes: usize,
}

impl Sandbox {
    /// Builds the engine, the guests' threads and the clock.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        config.validate()?;
        let config = Arc::new(config);
        let wasm = WasmEngine::new(&config)?;
        let compiler = Compiler::new(&wasm, &config)?;
        let ticker = Ticker::start(wasm.engine.weak())?;
        Ok(Self(Arc::new(Inner {
            engine: wasm.engine,
            compiler,
            turns: Turns::new(config.max_concurrent_calls as usize),
            guests: GuestThreads::start(config.guest_threads)?,
            ticker,
            config,
        })))
    }

    /// The limits of a step that asks for none.
    pub fn default_limits(&self) -> CallLimits {
        self.0.config.defaults
    }

    /// The engine that plugins run in: for measuring what the sandbox adds to it. Nothing that it runs for others is
    /// bounded.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Calls that hold a slot at this moment.
    pub fn calls_in_flight(&self) -> usize {
        self.0.config.max_concurrent_calls as usize - self.0.turns.free()
    }

    /// How much of the pool is in use at this moment.
    pub fn pool(&self) -> Pool {
        let metrics = self.0.engine.pooling_allocator_metrics();
        metrics.map_or_else(Pool::default, |pool| Pool {
            instances: pool.core_instances(),
            memories: pool.memories(),
            warm_bytes: pool.unused_memory_bytes_resident(),
        })
    }

    /// Checks an upload, adapts it if need be, compiles it and reads its manifest. The namespace is whose turn it
    /// takes.
    ///
    /// No network, nothing stored but the compiled artifact. The error says whether the upload is
    /// at fault.
    pub async fn admit(&self, namespace: &str, upload: &[u8]) -> Result<Admitted, SandboxError> {
        let made = self.0.compiler.make(namespace, Order::Upload, upload).await?;
        let Made { component, surface, plugin } = made;
        let manifest = match surface.kind {
            PluginKind::Step => Some(self.describe(namespace, &plugin).await?),
            _ => None,
        };
        Ok(Admitted {
            digest: admission::digest(upload),
            component_digest: plugin.component_digest().to_string(),
            component,
            kind: surface.kind,
            imports: surface.imports,
            capabilities: surface.capabilities,
            manifest,
            prepared: plugin,
        })
    }

    /// The plugin of an admitted component: from memory, from the authenticated cache on disk, or
    /// compiled.
    pub async fn prepare(
        &self,
        namespace: &str,
        component: &[u8],
    ) -> Result<Prepared, SandboxError> {
        self.0.compiler.prepare(namespace, component).await
    }

    /// The plugin, if it is in memory.
    pub fn ready(&self, component_digest: &str) -> Option<Prepared> {
        self.0.compiler.ready(component_digest)
    }

    /// The plugin, if it is in memory or on disk: saves fetching the component.
    pub async fn cached(&self, component_digest: &str) -> Option<Prepared> {
        self.0.compiler.cached(component_digest).await
    }

    /// Runs one attempt. Never panics; ends within the timeout, waiting for a free slot included,
    /// or when `cancel` says so. Dropping the future stops the guest.
    pub async fn call(&self, plugin: &Prepared, call: PluginCall) -> PluginReport {
        if !Engine::same(plugin.engine(), &self.0.engine) {
            // Its clock is another sandbox's and may have stopped.
            return refused(Failure::new(
                ErrorCode::Internal,
                "the plugin was prepared by another sandbox",
            ));
        }
        let limits = call.limits.clamped(&self.0.config.ceilings);
        let streams = Streams::new(&self.0.config, &call.live);
        let deadline = Instant::now() + limits.timeout;
        let input = serde_json::to_string(&call.config).expect("a value is always JSON");
        if input.len() > self.0.config.max_input_bytes {
            return refused(Failure::permanent(
                ErrorCode::ConfigInvalid,
                format!(
                    "the step's config has {} bytes, the limit for plugins is {}",
                    input.len(),
                    self.0.config.max_input_bytes
                ),
            ));
        }
        let attempt = Attempt {
            plugin: plugin.clone(),
            namespace: call.attempt.namespace.clone(),
            share: call.share,
            what: What::Run(Box::new(Work {
                call: facts(&call.attempt, limits.timeout),
                context: call.attempt,
                input,
            })),
            limits,
            deadline,
            cancel: call.cancel,
            streams,
            reach: call.reach,
            holder: call.holder,
            resumption: call.resumption,
            may_suspend: call.may_suspend,
            live: call.live,
            blobs: call.blobs,
            reveals: call.reveals,
        };
        self.supervise(attempt).await
    }

    async fn describe(&self, namespace: &str, plugin: &Prepared) -> Result<Manifest, SandboxError> {
        let limits =
            CallLimits { fuel: DESCRIBE_FUEL, timeout: DESCRIBE_TIMEOUT, ..self.0.config.defaults };
        let live = Live::default();
        let attempt = Attempt {
            plugin: plugin.clone(),
            namespace: namespace.to_owned(),
            share: Share::WHOLE,
            what: What::Describe,
            limits: limits.clamped(&self.0.config.ceilings),
            deadline: Instant::now() + limits.timeout,
            cancel: CancellationToken::new(),
            streams: Streams::new(&self.0.config, &live),
            reach: None,
            holder: None,
            resumption: None,
            may_suspend: true,
            live,
            blobs: None,
            reveals: None,
        };
        let report = self.supervise(attempt).await.report;
        let faulty = |what: String| {
            SandboxError::invalid(
                "PLUGIN_MANIFEST",
                what,
                "make its `describe` return JSON with at least `name` and `version`",
            )
        };
        let manifest = match report.outcome {
            Outcome::Succeeded(manifest) => manifest,
            Outcome::Failed(failure) => {
                return Err(faulty(format!("plugin cannot describe itself: {failure}")));
            }
            Outcome::Suspended(_) => {
                return Err(faulty("plugin suspends itself when it is to describe itself".into()));
            }
        };
        serde_json::from_value(manifest)
            .map_err(|error| faulty(format!("plugin's description is not a manifest: {error}")))
    }

    async fn supervise(&self, attempt: Attempt) -> PluginReport {
        let config = Arc::clone(&self.0.config);
        let (limits, streams) = (attempt.limits, attempt.streams.clone());
        let bench = Bench { config: &config, limits: &limits, streams: &streams };
        let deadline = time::Instant::from_std(attempt.deadline);
        let cancel = attempt.cancel.clone();
        let slot = tokio::select! {
            biased;
            () = cancel.cancelled() => return refused(verdict::cancelled()),
            slot = time::timeout_at(deadline, self.0.turns.take(&attempt.namespace, attempt.plugin.component_digest(), attempt.share)) => slot,
        };
        let Ok(slot) = slot else { return refused(no_slot(&bench)) };
        let settings = Arc::clone(&config);
        let ticking = self.0.ticker.keep();
        let mut guest = Box::pin(async move {
            // Given back only after the store is gone, so that the pool always has room for who
            // holds a slot.
            let _slot = slot;
            let _ticking = ticking;
            attempt.run(&settings).await
        });
        match first_tick(guest.as_mut()).await {
            Ok(Poll::Ready(ended)) => return report(&bench, ended),
            Ok(Poll::Pending) => {}
            Err(_) => return stopped(&streams, host_failed()),
        }
        let guest = AbortOnDropHandle::new(self.0.guests.spawn(guest));
        let cancelled = async {
            cancel.cancelled().await;
            time::sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            ended = guest => match ended {
                Ok(ended) => report(&bench, ended),
                Err(_) => stopped(&streams, host_failed()),
            },
            () = time::sleep_until(deadline + GRACE) => stopped(&streams, bench.timed_out()),
            () = cancelled => stopped(&streams, verdict::cancelled()),
        }
    }
}

/// Runs a guest until it ends, is preempted, or waits for the host. `Err` is a panic of the host.
async fn first_tick<T>(
    mut guest: Pin<&mut (impl Future<Output = T> + Send)>,
) -> std::thread::Result<Poll<T>> {
    std::future::poll_fn(|context| {
        Poll::Ready(catch_unwind(AssertUnwindSafe(|| guest.as_mut().poll(context))))
    })
    .await
}

fn facts(attempt: &AttemptContext, timeout: Duration) -> Call {
    let deadline = Utc::now() + timeout;
    Call {
        execution_id: attempt.execution_id.to_string(),
        step_id: attempt.step_id.clone(),
        attempt: attempt.attempt,
        idempotency_key: attempt.idempotency_key(),
        namespace: attempt.namespace.clone(),
        deadline_unix_ms: u64::try_from(deadline.timestamp_millis()).unwrap_or(0),
        traceparent: attempt.trace.to_string(),
    }
}

fn report(bench: &Bench<'_>, ended: Ended) -> PluginReport {
    let (fuel_used, peak_memory_bytes, busy, host_calls) =
        (ended.fuel_used, ended.peak_memory_bytes, ended.busy, ended.calls);
    let outcome = bench.judge(ended);
    PluginReport { fuel_used, peak_memory_bytes, busy, host_calls, ..told(bench.streams, outcome) }
}

/// The guest did not answer in time to be counted.
fn stopped(streams: &Streams, failure: Failure) -> PluginReport {
    told(streams, Outcome::Failed(failure))
}

/// The guest never ran.
fn refused(failure: Failure) -> PluginReport {
    PluginReport {
        report: AttemptReport::of(Err(failure)),
        fuel_used: 0,
        peak_memory_bytes: 0,
        busy: Duration::ZERO,
        requests: RequestCounts::new(),
        dropped_lines: 0,
        host_calls: HostCalls::default(),
    }
}

/// An outcome, with what stands in the attempt's log.
fn told(streams: &Streams, outcome: Outcome) -> PluginReport {
    let (requests, dropped_lines) = (streams.requests.finish(&streams.log), streams.log.dropped());
    let report = AttemptReport { outcome, logs: streams.log.finish() };
    PluginReport {
        report,
        fuel_used: 0,
        peak_memory_bytes: 0,
        busy: Duration::ZERO,
        requests,
        dropped_lines,
        host_calls: HostCalls::default(),
    }
}

fn host_failed() -> Failure {
    Failure::new(ErrorCode::Internal, "the plugin host failed")
}

fn no_slot(bench: &Bench<'_>) -> Failure {
    let mut failure = bench.timed_out();
    failure.message = format!(
        "no slot for the plugin was free in time; the limit is {} calls at once, or what policies say",
        bench.config.max_concurrent_calls
    );
    failure
}
