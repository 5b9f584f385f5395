//! Runs untrusted plugins: WebAssembly components in wasmtime, each attempt in a fresh instance
//! with a budget of fuel, memory, stack and time. Knows nothing of workflows beyond one attempt.
//!
//! ```text
//! upload -> refusal -> inspection -> admission (adapt) -> compiler -> prepared
//!                                                          artifacts     |
//!            report <- verdict <- attempt (store, guest, limiter) <- sandbox.call
//! ```

mod admission;
mod artifacts;
mod attempt;
mod bindings;
mod blobs;
mod building;
mod compile_process;
mod compiler;
mod config;
mod confinement;
mod error;
mod exit_code;
mod guest;
mod guest_blobs;
mod guest_http;
mod guest_progress;
mod guest_secrets;
mod guest_threads;
mod host_calls;
mod inspection;
mod limiter;
mod live;
mod log_buffer;
mod outbound;
mod prepared;
mod producers;
mod receipt;
mod refusal;
mod request_tally;
mod reveals;
mod sandbox;
mod stdio;
mod ticker;
mod turns;
mod verdict;
mod wasm_engine;

pub use admission::{Admitted, Manifest, PluginKind};
pub use blobs::{BlobSink, Blobs, KeptBlob};
pub use compile_process::serve_compiler;
pub use config::{CallLimits, CompileLimits, Isolation, LogLimits, SandboxConfig, ShapeLimits};
pub use error::SandboxError;
pub use host_calls::HostCalls;
pub use live::Live;
pub use outbound::Reach;
pub use prepared::{CompileReceipt, Prepared};
pub use producers::producers;
pub use receipt::Said;
pub use request_tally::{OTHER_HOSTS, RequestCounts, RequestOutcome};
pub use reveals::Reveals;
pub use sandbox::{PluginCall, PluginReport, Pool, Sandbox};
pub use turns::Share;
pub use wasm_engine::Tier;
