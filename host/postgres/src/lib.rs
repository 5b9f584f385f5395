#![doc = include_str!("../README.md")]

mod binaries;
#[cfg(feature = "download")]
mod download;

mod account;
mod cluster;
mod postmaster;
mod server;

pub use binaries::Binaries;
#[cfg(feature = "download")]
pub use download::download;
pub use server::{Server, ServerOptions, StopMode};
