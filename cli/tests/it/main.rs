//! The binary from outside: real processes, a real Postgres, a real HTTP service that keeps a ledger.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod door;
mod ledger;
mod operator;
mod processes;
mod terminal;
mod workbench;

mod commit_boundaries;
mod connections;
mod dead_letters;
mod definitions;
mod deployment;
mod development;
mod doctor;
mod drain;
mod exactly_once;
mod explain;
mod migrating;
mod outputs;
mod overload;
mod plugins;
mod presentation;
mod progress;
mod questions;
mod report;
mod runbooks;
mod server_lost;
mod shells;
mod tls;
mod traces;
mod validating;
mod worker_lost;
