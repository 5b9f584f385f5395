//! Counts the requests of one attempt, whichever way they are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::error::EgressError;
use crate::grant::Caps;

/// What is left of an attempt's requests. One attempt has one, shared by all its calls.
#[derive(Debug)]
pub struct Meter {
    most: u32,
    left: AtomicU32,
    slots: Arc<Semaphore>,
}

/// A place among the requests that are under way; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Meter {
    /// Nothing spent yet. A cap of no request at one time would be a wait without an end, so one is possible.
    pub fn new(caps: &Caps) -> Arc<Self> {
        let at_once = usize::try_from(caps.at_once.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { most: caps.requests, left: AtomicU32::new(caps.requests), slots })
    }

    /// One request more.
    pub(crate) fn take(&self) -> Result<(), EgressError> {
        self.left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .map(drop)
            .map_err(|_| EgressError::TooMany { limit: self.most })
    }

    /// Waits for a turn.
    pub(crate) async fn slot(&self, deadline: Instant, host: &str) -> Result<Slot, EgressError> {
        let permit = timeout_at(deadline, self.slots.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| EgressError::Timeout { host: host.to_owned() })?;
        Ok(Slot { _permit: permit.expect("the semaphore is never closed") })
    }
}
