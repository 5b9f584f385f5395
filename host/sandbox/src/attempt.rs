//! One attempt on the guests' runtime: a fresh store and instance inside every limit, thrown away
//! afterwards.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use engine::{
    attempt::AttemptContext,
    suspension::{Resumption, Suspension},
};
use tokio::time;
use tokio_util::sync::CancellationToken;
use wasmtime::{Store, UpdateDeadline};

use crate::{
    bindings::step::stateflow::plugin::types::Call,
    blobs::Blobs,
    config::{CallLimits, SandboxConfig},
    guest::{Guest, MAX_HANDLES, ProgramStart, Streams},
    host_calls::HostCalls,
    limiter::Limiter,
    live::Live,
    outbound::{Held, Outbound, Reach},
    prepared::{Ending, Prepared},
    reveals::Reveals,
    turns::Share,
};

/// What a guest may hand over in one host call beyond its output: the fields of a log line, an
/// error's details.
const HOSTCALL_MARGIN: usize = 1 << 20;

/// Everything that an attempt needs, owned, so that it can move to another runtime.
pub(crate) struct Attempt {
    pub(crate) plugin: Prepared,
    pub(crate) namespace: String,
    pub(crate) share: Share,
    pub(crate) what: What,
    pub(crate) limits: CallLimits,
    pub(crate) deadline: Instant,
    pub(crate) cancel: CancellationToken,
    pub(crate) streams: Streams,
    pub(crate) reach: Option<Reach>,
    pub(crate) holder: Held,
    pub(crate) resumption: Option<Arc<Resumption>>,
    pub(crate) may_suspend: bool,
    pub(crate) live: Live,
    pub(crate) blobs: Option<Arc<dyn Blobs>>,
    pub(crate) reveals: Option<Arc<dyn Reveals>>,
}

/// Which of the plugin's exports is called.
pub(crate) enum What {
    /// The manifest.
    Describe,
    /// The work.
    Run(Box<Work>),
}

/// What an attempt works on.
pub(crate) struct Work {
    pub(crate) context: AttemptContext,
    pub(crate) call: Call,
    /// The resolved config, as JSON text.
    pub(crate) input: String,
}

/// How the attempt ended, before anybody judges it.
pub(crate) struct Ended {
    pub(crate) outcome: Result<Ending, Interruption>,
    /// It ended at its deadline or after it.
    pub(crate) late: bool,
    pub(crate) fuel_used: u64,
    pub(crate) peak_memory_bytes: u64,
    /// How long it was on a processor, the host functions that it called included.
    pub(crate) busy: Duration,
    pub(crate) denials: u32,
    pub(crate) calls: HostCalls,
    /// How it wants to go on: it ended itself.
    pub(crate) suspension: Option<Suspension>,
}

/// Why the guest did not get to its end.
#[derive(Debug)]
pub(crate) enum Interruption {
    Deadline,
    Cancelled,
    Trapped(wasmtime::Error),
}

/// Raised in the guest by the epoch callback.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Preempted {
    #[error("the attempt's time is up")]
    Deadline,
    #[error("the attempt was cancelled")]
    Cancelled,
}

impl Attempt {
    pub(crate) async fn run(self, config: &SandboxConfig) -> Ended {
        let mut store = match self.store(config) {
            Ok(store) => store,
            Err(error) => return Ended::unstarted(error),
        };
        let deadline = time::Instant::from_std(self.deadline);
        // Boxed: the guest's future is large and this one is moved to another runtime.
        let busy = AtomicU64::new(0);
        let guest = Box::pin(timed(self.guest(&mut store), &busy));
        let outcome = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Interruption::Cancelled),
            done = time::timeout_at(deadline, guest) => match done {
                Err(_) => Err(Interruption::Deadline),
                Ok(result) => result.map_err(interruption),
            },
        };
        let late = Instant::now() >= self.deadline;
        self.streams.stderr.flush_line();
        Ended {
            outcome,
            late,
            fuel_used: self.limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0)),
            peak_memory_bytes: store.data().limiter.peak_bytes(),
            busy: Duration::from_nanos(busy.into_inner()),
            denials: store.data().limiter.denials(),
            calls: store.data().calls,
            suspension: store.data_mut().progress.suspension.take(),
        }
    }

    async fn guest(&self, store: &mut Store<Guest>) -> wasmtime::Result<Ending> {
        match &self.what {
            What::Describe => self.plugin.describe(store).await,
            What::Run(work) => self.plugin.execute(store, &work.call, &work.input).await,
        }
    }

    fn store(&self, config: &SandboxConfig) -> wasmtime::Result<Store<Guest>> {
        let program = match &self.what {
            What::Run(work) if self.plugin.is_program() => Some(ProgramStart {
                stdin: work.input.clone().into_bytes(),
                attempt: &work.context,
            }),
            _ => None,
        };
        let limiter = Limiter::new(self.limits.memory_bytes, &config.shape);
        let cancel = self.cancel.clone();
        let (reach, held) = (self.reach.clone(), self.holder.clone());
        let trace = match &self.what {
            What::Run(work) => Some(work.context.trace),
            What::Describe => None,
        };
        let (deadline, streams) = (self.deadline, &self.streams);
        let outbound = Outbound::new(reach, &self.namespace, deadline, trace, streams, held);
        let mut guest =
            Guest::new(limiter, self.deadline, cancel, &self.streams, outbound, program);
        guest.progress.resumption.clone_from(&self.resumption);
        guest.progress.may_suspend = self.may_suspend;
        guest.progress.live = self.live.clone();
        guest.blobs.kept.clone_from(&self.blobs);
        guest.reveals.clone_from(&self.reveals);
        let mut store = Store::new(self.plugin.engine(), guest);
        store.limiter(|guest| &mut guest.limiter);
        store.set_fuel(self.limits.fuel)?;
        // Not the next tick but the one after: a short call that one happens to meet would be moved to another thread
        // for nothing.
        store.set_epoch_deadline(2);
        store.epoch_deadline_callback(|context| preempt(context.data()));
        store.set_hostcall_fuel(config.max_output_bytes.saturating_add(HOSTCALL_MARGIN));
        store.set_max_component_handles(MAX_HANDLES);
        Ok(store)
    }
}

impl Ended {
    fn unstarted(error: wasmtime::Error) -> Self {
        Self {
            outcome: Err(Interruption::Trapped(error)),
            late: false,
            fuel_used: 0,
            peak_memory_bytes: 0,
            busy: Duration::ZERO,
            denials: 0,
            calls: HostCalls::default(),
            suspension: None,
        }
    }
}

/// The same, with the time that its polls take added up, in nanoseconds. Between two of them it waits for something.
async fn timed<T>(work: impl Future<Output = T>, nanos: &AtomicU64) -> T {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        let start = Instant::now();
        let polled = work.as_mut().poll(context);
        let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        nanos.fetch_add(spent, Ordering::Relaxed);
        polled
    })
    .await
}

/// Runs at every tick while guest code does. Decides by the clock and not by counting ticks: they
/// also pass while the guest waits for the host, and a busy machine stretches them.
fn preempt(guest: &Guest) -> wasmtime::Result<UpdateDeadline> {
    if guest.cancel.is_cancelled() {
        return Err(Preempted::Cancelled.into());
    }
    if Instant::now() >= guest.deadline {
        return Err(Preempted::Deadline.into());
    }
    Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
}

fn interruption(error: wasmtime::Error) -> Interruption {
    match error.downcast_ref::<Preempted>() {
        Some(Preempted::Deadline) => Interruption::Deadline,
        Some(Preempted::Cancelled) => Interruption::Cancelled,
        None => Interruption::Trapped(error),
    }
}
