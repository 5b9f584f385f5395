//! The database's time, as far as it is known here: leases and due times are compared by the database, so the
//! instants that the core is given are in its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// This machine's clock, corrected by the difference last seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct DatabaseClock {
    ahead_micros: Arc<AtomicI64>,
}

impl DatabaseClock {
    /// Notes what the database just said.
    pub(crate) fn observe(&self, database_now: DateTime<Utc>) {
        let ahead = database_now - Utc::now();
        self.ahead_micros.store(ahead.num_microseconds().unwrap_or(0), Ordering::Relaxed);
    }

    /// Now, in the database's time.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::microseconds(self.ahead_micros.load(Ordering::Relaxed))
    }

    /// How long until an instant; nothing if it has passed.
    pub(crate) fn until(&self, instant: DateTime<Utc>) -> std::time::Duration {
        (instant - self.now()).to_std().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observed_difference_is_kept() {
        let clock = DatabaseClock::default();
        clock.observe(Utc::now() + TimeDelta::hours(1));
        assert!(clock.until(Utc::now()).is_zero());
        assert!(
            clock.until(Utc::now() + TimeDelta::hours(2)) > std::time::Duration::from_secs(3_500)
        );
    }
}
