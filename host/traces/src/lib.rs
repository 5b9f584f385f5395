//! Traces: what an execution does, told to an OpenTelemetry collector while it does it.
//!
//! ```text
//! caller's span ─▶ start ─┬─▶ step ─┬─▶ attempt ──▶ GET
//!                         │         └─▶ attempt ──▶ GET
//!                         ├─▶ step ────▶ start (of a child) …
//!                         └─▶ execution
//! ```
//!
//! A span is sent when it has ended. The first one ends when the execution is taken up, so that a trace has its root from
//! the beginning; the last one, `execution`, is as long as all of it.

mod call;
mod exporting;
mod span;
mod traces;

pub use call::Call;
pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::SpanKind;
pub use span::Span;
pub use traces::{SpanCounter, Traces, TracesError, TracesSettings};
