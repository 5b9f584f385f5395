#![doc = include_str!("../README.md")]
#![expect(unused_qualifications, reason = "what utoipa's macros generate for query types")]

mod connections;
pub use connections::serve;

mod router;
pub use router::{openapi, router};

mod document;

mod monitoring;
pub use monitoring::Monitoring;

mod state;
pub use state::{ApiParts, ApiState};

mod approvals;
mod blobs;
mod dead_letters;
mod executions;
mod messages;
mod namespaces;
mod plugins;
mod versions;
mod workflows;

mod admission;
mod conditional;
mod idempotency;
mod leftovers;
mod places;
mod publish;
mod rate_limit;
pub use rate_limit::RateLimit;
mod request_id;
mod secrets;

mod error;
mod extract;
mod figures;
mod trace;
