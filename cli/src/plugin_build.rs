//! What a plugin may look like and what compiling it may cost, where an operator says so: a JSON file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use sandbox::{CompileLimits, SandboxConfig, ShapeLimits};
use serde::Deserialize;

use crate::output::Usage;

/// The file that `--plugin-build` names. What it does not say is the default.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(crate) struct PluginBuild {
    shape: ShapeLimits,
    compile: CompileCost,
}

/// What compiling a plugin may cost, at each level of optimisation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct CompileCost {
    cpu_seconds: u32,
    wall_seconds: u32,
    memory_mb: u32,
    code_mb: u32,
}

impl Default for CompileCost {
    fn default() -> Self {
        let limits = CompileLimits::default();
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            cpu_seconds: small(limits.cpu.as_secs()),
            wall_seconds: small(limits.wall.as_secs()),
            memory_mb: small(limits.memory_bytes >> 20),
            code_mb: small(limits.code_bytes >> 20),
        }
    }
}

impl CompileCost {
    fn limits(&self) -> CompileLimits {
        CompileLimits {
            cpu: Duration::from_secs(self.cpu_seconds.into()),
            wall: Duration::from_secs(self.wall_seconds.into()),
            memory_bytes: u64::from(self.memory_mb) << 20,
            code_bytes: u64::from(self.code_mb) << 20,
        }
    }
}

impl PluginBuild {
    /// What the file says, or the defaults.
    pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the build limits {}", path.display()))?;
        serde_json::from_str(&text).map_err(|error| {
            Usage(format!("the build limits {} are none: {error}", path.display())).into()
        })
    }

    /// The same settings, with these limits.
    pub(crate) fn onto(self, config: SandboxConfig) -> SandboxConfig {
        SandboxConfig { shape: self.shape, compile: self.compile.limits(), ..config }
    }
}
