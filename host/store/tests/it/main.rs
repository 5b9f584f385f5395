//! The store on a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod failures;
mod fixture;

mod bulk;
mod connections;
mod journal;
mod leases;
mod listing;
mod messages;
mod migrations;
mod plugins;
mod secrets;
mod starts;
