//! A guest that says how far it is, and one that goes on another time.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use engine::suspension::{Checkpoint, Resumption, Suspension, SuspensionError, Wake};

use crate::{
    bindings::step::stateflow::plugin::progress::{
        self, Resumption as GuestResumption, Wake as GuestWake,
    },
    guest::Guest,
    host_calls::Import,
    live::Live,
};

/// What an attempt was given, what it lets be seen, and how it wants to go on.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) resumption: Option<Arc<Resumption>>,
    pub(crate) may_suspend: bool,
    pub(crate) live: Live,
    /// Set by `suspend`, which ends the guest.
    pub(crate) suspension: Option<Suspension>,
}

/// Raised in a guest that has suspended itself: nothing of it runs after that.
#[derive(Debug, thiserror::Error)]
#[error("the attempt was suspended")]
struct Suspended;

impl progress::Host for Guest {
    async fn heartbeat(&mut self, note: String) -> wasmtime::Result<()> {
        self.calls.count(Import::Progress);
        self.progress.live.note(&note);
        Ok(())
    }

    async fn resumed(&mut self) -> wasmtime::Result<Option<GuestResumption>> {
        self.calls.count(Import::Progress);
        let resumption = self.progress.resumption.as_deref();
        Ok(resumption.map(|it| GuestResumption {
            state: it.state.0.clone(),
            event: it.event.as_ref().map(ToString::to_string),
        }))
    }

    async fn suspend(
        &mut self,
        state: Vec<u8>,
        until: GuestWake,
    ) -> wasmtime::Result<Result<(), String>> {
        self.calls.count(Import::Progress);
        match self.suspension(state, until) {
            Ok(suspension) => {
                self.progress.suspension = Some(suspension);
                Err(Suspended.into())
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

impl Guest {
    fn suspension(&self, state: Vec<u8>, until: GuestWake) -> Result<Suspension, String> {
        if !self.progress.may_suspend {
            return Err("a policy does not let plugins suspend themselves".to_owned());
        }
        if self.knows_secret(&state) {
            return Err("the state holds a secret: leave it out, and ask for it again".to_owned());
        }
        let wake = match until {
            GuestWake::After(ms) => Wake::After(ms),
            GuestWake::Instant(ms) => Wake::At(instant(ms).ok_or_else(too_long)?),
            GuestWake::Event(event) => Wake::Event {
                name: event.name,
                matching: event.matching,
                timeout_ms: event.timeout_ms,
            },
        };
        if let Wake::Event { name, matching, .. } = &wake
            && [Some(name), matching.as_ref()]
                .into_iter()
                .flatten()
                .any(|text| self.knows_secret(text.as_bytes()))
        {
            return Err("the event's name or its expression holds a secret".to_owned());
        }
        let suspension = Suspension { state: Checkpoint(state), wake };
        suspension.check(Utc::now()).map_err(|error| error.to_string())?;
        Ok(suspension)
    }

    /// Whether a secret that was revealed, in any of its forms, is in what would be stored.
    pub(crate) fn knows_secret(&self, bytes: &[u8]) -> bool {
        let holder = self.outbound.held();
        holder.is_some_and(|holder| holder.scrubber().bytes(bytes).is_some())
    }

    /// Whether there is anything that must not be stored.
    pub(crate) fn has_secrets(&self) -> bool {
        self.outbound.held().is_some_and(|holder| !holder.scrubber().is_empty())
    }
}

fn instant(ms: u64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(ms).ok()?)
}

fn too_long() -> String {
    SuspensionError::TooLong.to_string()
}
