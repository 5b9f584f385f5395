#![doc = include_str!("../README.md")]

mod connection;
pub use connection::{Schema, Store, StoreSettings};
mod migrations;
pub use migrations::{Migrated, MigrationState};

pub mod audit;
pub mod blobs;
pub mod bulk;
pub mod dead_letters;
pub mod diagnosis;
pub mod events;
pub mod executions;
pub mod families;
pub mod figures;
pub mod forks;
pub mod listing;
pub mod namespaces;
pub mod plugins;
pub mod request_keys;
pub mod retention;
pub mod secrets;
pub mod workflows;

pub mod inbox;
pub mod journal;
pub mod leases;
mod letters;
pub mod messages;
mod metrics;
mod rehearsal;
pub mod starts;
pub mod workers;

pub mod wakeups;

mod error;
mod group_commit;
pub use error::StoreError;
pub use metrics::PoolUse;

/// The namespace that everything belongs to until there are others.
pub const DEFAULT_NAMESPACE: i32 = 1;

/// Its name.
pub const DEFAULT_NAMESPACE_NAME: &str = "default";
