#![doc = include_str!("../README.md")]
#![expect(unused_qualifications, reason = "what utoipa's macros generate for query types")]

mod connections;
pub use connections::serve;

mod router;
pub use router::router;

mod state;
pub use state::{ApiParts, ApiState};

mod approvals;
mod blobs;
mod executions;
mod health;
mod messages;
mod namespaces;
mod plugins;
mod versions;
mod workflows;

mod admission;
mod publish;
mod request_id;
mod secrets;

mod error;
mod extract;
