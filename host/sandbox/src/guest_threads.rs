//! The runtime that guests run on: threads of their own, so that a guest that spins holds up other
//! guests at most, and those only until the next tick.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use crate::error::SandboxError;

/// See the module. Empty only while it is dropped.
pub(crate) struct GuestThreads(Option<Runtime>);

impl GuestThreads {
    pub(crate) fn start(threads: usize) -> Result<Self, SandboxError> {
        let mut builder = Builder::new_multi_thread();
        if threads > 0 {
            builder.worker_threads(threads);
        }
        let runtime = builder
            .thread_name("wasm-guest")
            .max_blocking_threads(4)
            // Spinning guests come back at every tick; look after timers at least that often.
            .event_interval(4)
            .enable_time()
            .build()
            .map_err(|source| SandboxError::System {
                action: "start the guests' threads".into(),
                source,
            })?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn spawn<F>(&self, guest: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.as_ref().expect("the runtime is there until this is dropped").spawn(guest)
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        // A runtime must not be waited for in async code, which is where sandboxes are dropped.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
