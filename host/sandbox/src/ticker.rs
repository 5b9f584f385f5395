//! The epoch clock: one plain thread that lets spinning guests be preempted and stopped.
//!
//! A thread and not a timer of the guests' runtime, because a guest that spins can hold up exactly
//! that timer.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use wasmtime::EngineWeak;

use crate::error::SandboxError;

/// How long a guest can run before the host gets a word in: the resolution of cancelling.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Ends the clock when it is dropped.
pub(crate) struct Ticker {
    _alive: Sender<()>,
}

impl Ticker {
    pub(crate) fn start(engine: EngineWeak) -> Result<Self, SandboxError> {
        let (alive, ended) = mpsc::channel();
        let beat = move || {
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        };
        thread::Builder::new()
            .name("wasm-epoch".into())
            .spawn(beat)
            .map_err(|source| SandboxError::System { action: "start a thread".into(), source })?;
        Ok(Self { _alive: alive })
    }
}
