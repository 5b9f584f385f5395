//! The worker's chores on a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod history;

mod archive;
mod retention;
