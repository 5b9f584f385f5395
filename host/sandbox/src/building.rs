//! From bytes to machine code: the work itself, in whatever thread or process it is done.
//!
//! Pure: it reads no file and asks nobody. What it may cost is its surroundings' business.

use serde::{Deserialize, Serialize};

use crate::{
    admission::{self, Adapted},
    config::BuildSettings,
    error::SandboxError,
    wasm_engine::{Tier, WasmEngine},
};

/// What the bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// Somebody's upload: checked, and made a component.
    Upload,
    /// A component that an upload became.
    Component,
}

/// A component and its machine code.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) adapted: Adapted,
    pub(crate) code: Vec<u8>,
    pub(crate) tier: Tier,
}

/// Checks, adapts and compiles.
pub(crate) fn build(
    order: Order,
    bytes: &[u8],
    settings: &BuildSettings,
    tier: Tier,
) -> Result<Built, SandboxError> {
    let adapted = match order {
        Order::Upload => admission::adapt(bytes, settings)?,
        Order::Component => admission::adapted(bytes, settings)?,
    };
    let engine = WasmEngine::compiler(settings.stack_bytes, tier)?.engine;
    let code = engine.precompile_component(&adapted.component).map_err(|error| {
        SandboxError::invalid(
            "PLUGIN_NOT_COMPILABLE",
            format!("plugin cannot be compiled: {error:#}"),
            "make it smaller or simpler",
        )
    })?;
    Ok(Built { adapted, code, tier })
}

#[cfg(test)]
mod tests;
