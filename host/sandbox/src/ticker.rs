//! The epoch clock: one plain thread that lets spinning guests be preempted and stopped. It rests while no guest runs.
//!
//! A thread and not a timer of the guests' runtime, because a guest that spins can hold up exactly
//! that timer.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use wasmtime::EngineWeak;

use crate::error::SandboxError;

/// How long a guest can run before the host gets a word in: the resolution of cancelling.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Ends the clock when it is dropped.
pub(crate) struct Ticker(Arc<Shared>);

/// A guest that needs the clock, for as long as this lives.
pub(crate) struct Ticking(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    guests: usize,
    resting: bool,
    ended: bool,
}

impl Ticker {
    pub(crate) fn start(engine: EngineWeak) -> Result<Self, SandboxError> {
        let shared = Arc::new(Shared::default());
        let clock = Arc::clone(&shared);
        thread::Builder::new()
            .name("wasm-epoch".into())
            .spawn(move || clock.run(&engine))
            .map_err(|source| SandboxError::System { action: "start a thread".into(), source })?;
        Ok(Self(shared))
    }

    /// Keeps the clock going.
    pub(crate) fn keep(&self) -> Ticking {
        let mut state = self.0.state();
        state.guests += 1;
        if std::mem::take(&mut state.resting) {
            self.0.wake.notify_one();
        }
        drop(state);
        Ticking(Arc::clone(&self.0))
    }
}

impl Shared {
    fn run(&self, engine: &EngineWeak) {
        while self.next_beat() {
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    }

    /// Waits for the next beat; for long, if there is no guest. False at the end.
    fn next_beat(&self) -> bool {
        let mut state = self.state();
        while state.guests == 0 && !state.ended {
            state.resting = true;
            state = self.wake.wait(state).expect("no holder of this lock panics");
        }
        // A guest that has just come runs for one beat before it is looked at.
        let (state, _) = self
            .wake
            .wait_timeout_while(state, TICK, |state| !state.ended)
            .expect("no holder of this lock panics");
        !state.ended
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.state().guests -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;

    fn until_resting(ticker: &Ticker) {
        while !ticker.0.state().resting {
            thread::yield_now();
        }
    }

    #[test]
    fn the_clock_rests_without_guests_and_goes_on_with_the_next() {
        let engine = Engine::default();
        let ticker = Ticker::start(engine.weak()).unwrap();
        until_resting(&ticker);
        for _ in 0..2 {
            let (one, other) = (ticker.keep(), ticker.keep());
            assert!(!ticker.0.state().resting);
            drop(one);
            assert_eq!(ticker.0.state().guests, 1);
            drop(other);
            until_resting(&ticker);
        }
    }
}
