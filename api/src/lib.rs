#![doc = include_str!("../README.md")]

mod router;
pub use router::{router, serve};

mod state;
pub use state::{ApiParts, ApiState};

mod executions;
mod health;
mod plugins;
mod workflows;

mod publish;
mod request_id;

mod error;
mod extract;
