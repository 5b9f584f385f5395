//! The API over real HTTP, on a real Postgres; with a real worker where executions have to move.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod claims;
mod guests;
mod guide;
mod mirror;
mod server;
mod upstream;

mod again;
mod approvals;
mod bad_input;
mod batches;
mod blobs;
mod bulk;
mod children;
mod cloud_events;
mod control;
mod dead_letters;
mod definitions;
mod document;
mod endings;
mod examples;
mod exposition;
mod forms;
mod health;
mod hostile;
mod idempotency;
mod keys;
mod listing;
mod logbook;
mod manifests;
mod messages;
mod outage;
mod overload;
mod plugin_life;
mod plugin_requests;
mod protocol;
mod recovery;
mod requests;
mod secrets;
mod starts;
mod suspending;
mod unwinding;
mod uploads;
mod versions;
mod waiting;
