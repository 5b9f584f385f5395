//! The sandbox from outside: guests written in WAT, each limit just under, at and just over.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail by panicking")]

mod artifacts;
mod bench;
mod cancelling;
mod compiling;
mod guests;
mod held_secrets;
mod isolation;
mod limits;
mod programs;
mod refusals;
mod requests;
mod suspending;
mod toolchains;
mod wasi_requests;
mod worlds;
