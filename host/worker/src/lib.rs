#![doc = include_str!("../README.md")]

mod worker;
pub use worker::{Worker, WorkerParts, WorkerSettings};

mod archive;
mod claimer;
mod deliveries;
mod driver;
mod endings;
mod intake;
mod kin;
mod maintenance;
mod retention;
pub use archive::{Archive, Archived};
pub use retention::{Deleted, Retiring};
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
mod warming;

mod clock;
mod metrics;
pub use metrics::WorkerMetrics;
