//! How fast history is gone through.

use std::time::{Duration, Instant};

/// Rows that are looked at together: some ten milliseconds.
pub(super) const PAGE: i32 = 20_000;
/// A piece of work is followed by so many times its duration of rest: a quarter of one processor at most, on which
/// nobody else's work has to be held up by more than a tenth.
const REST: u32 = 3;
/// Nothing needs to rest for longer.
const LONGEST: Duration = Duration::from_secs(10);

/// Rests from work that began at an instant. Deleting is in no hurry, and everybody else may be.
pub async fn rest_from(began: Instant) {
    tokio::time::sleep((began.elapsed() * REST).min(LONGEST)).await;
}
