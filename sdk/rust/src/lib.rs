//! The Rust SDK for StateFlow plugins. Not part of the server, and built for another target.

#![doc = include_str!("../README.md")]

pub mod blob;
mod error;
mod export;
pub mod http;
pub mod log;
pub mod progress;
pub mod secrets;

#[doc(hidden)]
#[allow(clippy::too_many_arguments, reason = "generated from the WIT files")]
pub mod bindings {
    //! Generated from `sdk/wit/v1`; reached through [`crate::step!`] only.
    wit_bindgen::generate!({
        path: "../wit/v1",
        world: "step",
        pub_export_macro: true,
        export_macro_name: "export_step",
        default_bindings_module: "stateflow_plugin::bindings",
    });
}

pub use bindings::stateflow::plugin::types::Call;
pub use error::Error;
#[doc(hidden)]
pub use export::{Manifest, describe, run};
