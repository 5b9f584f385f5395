//! The API over real HTTP, on a real Postgres; with a real worker where executions have to move.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod guests;
mod server;

mod batches;
mod definitions;
mod endings;
mod overload;
mod requests;
mod starts;
mod surface;
mod uploads;
mod waiting;
