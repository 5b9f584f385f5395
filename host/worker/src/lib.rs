#![doc = include_str!("../README.md")]

mod worker;
pub use worker::{Worker, WorkerParts, WorkerSettings};

mod claimer;
mod deliveries;
mod driver;
mod endings;
mod intake;
mod kin;
mod maintenance;
mod tenure;

mod apart;
mod attempts;
mod blobs;
mod glimpse;
mod plans;
mod plugins;
mod policies;
mod reveals;
pub use policies::Policies;
mod vault;

mod clock;
mod metrics;
pub use metrics::WorkerMetrics;
