//! How far the work is, and long waits in the middle of it that cost nothing.
//!
//! A step that suspends itself ends this call. The next attempt begins anew, finds what was left by [`resumed`], and goes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, de::DeserializeOwned};

use crate::Error;
use crate::bindings::stateflow::plugin::progress::{self, EventWait, Wake};

/// What a call is given that goes on.
#[derive(Clone, Debug)]
pub struct Resumed<S> {
    /// What was left.
    pub state: S,
    /// The event that was waited for, as JSON text (`id`, `name`, `data`, `receivedAt`); none if it has not come in time, or
    /// an instant was waited for.
    pub event: Option<String>,
}

/// Says how far the work is, to whoever watches the execution.
pub fn note(text: &str) {
    #[cfg(target_arch = "wasm32")]
    progress::heartbeat(text);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("progress: {text}");
}

/// What the step left when it last suspended itself; none if it has not. A retried attempt is given the same again.
pub fn resumed<S: DeserializeOwned>() -> Result<Option<Resumed<S>>, Error> {
    let Some(found) = progress::resumed() else { return Ok(None) };
    let state = serde_json::from_slice(&found.state).map_err(|error| {
        Error::permanent("state-invalid", format!("what was left cannot be read: {error}"))
    })?;
    Ok(Some(Resumed { state, event: found.event }))
}

/// Ends this call; the next begins so much later. Returns only if that cannot be: pass the error on.
pub fn suspend_for(state: &impl Serialize, time: Duration) -> Error {
    suspend(state, &Wake::After(milliseconds(time)))
}

/// Ends this call; the next begins at the instant. Returns only if that cannot be: pass the error on.
pub fn suspend_until(state: &impl Serialize, instant: SystemTime) -> Error {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    suspend(state, &Wake::Instant(milliseconds(since)))
}

/// Ends this call; the next begins when an event of the name comes for which `matching`, a CEL expression over `event`, is
/// true, or when none has come in time. Returns only if that cannot be: pass the error on.
pub fn suspend_for_event(
    state: &impl Serialize,
    name: &str,
    matching: Option<&str>,
    timeout: Duration,
) -> Error {
    suspend(
        state,
        &Wake::Event(EventWait {
            name: name.to_owned(),
            matching: matching.map(str::to_owned),
            timeout_ms: milliseconds(timeout),
        }),
    )
}

fn suspend(state: &impl Serialize, until: &Wake) -> Error {
    let state = match serde_json::to_vec(state) {
        Ok(state) => state,
        Err(error) => return Error::permanent("state-invalid", error),
    };
    match progress::suspend(&state, until) {
        Ok(()) => Error::permanent("not-suspended", "the host has let a suspended call go on"),
        Err(refusal) => Error::permanent("not-suspended", refusal),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
