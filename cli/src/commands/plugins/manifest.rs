//! `stateflow.plugin.json`: what its author says of a plugin, for `push` to send and for `build` to read.

use std::path::Path;

use anyhow::Context;
use engine::capability::Requested;
use sandbox::Said;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arguments::Language;
use crate::output::Usage;

/// Its name, beside the plugin.
pub(super) const FILE: &str = "stateflow.plugin.json";

/// The server takes no more of it (256 KiB).
const MAX_BYTES: usize = 256 << 10;

/// See the module. Everything but the language is sent to the server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ManifestFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) config_schema: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_schema: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capabilities: Option<Requested>,
    #[serde(skip_serializing)]
    pub(super) language: Option<Language>,
}

impl ManifestFile {
    /// For the receipt.
    pub(super) fn said(&self) -> Said<'_> {
        Said {
            name: self.name.as_deref(),
            version: self.version.as_deref(),
            description: self.description.as_deref(),
            config_schema: self.config_schema.as_ref(),
            output_schema: self.output_schema.as_ref(),
        }
    }

    /// Reads the file that was named, or the one beside the plugin, if there is one.
    pub(super) fn about(plugin: &Path, named: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let beside = || Some(plugin.with_file_name(FILE)).filter(|path| path.is_file());
        named.map(Path::to_owned).or_else(beside).map(|path| Self::read(&path)).transpose()
    }

    /// Reads a file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
        if text.len() > MAX_BYTES {
            return Err(Usage(format!(
                "{shown} has {} bytes, a manifest has at most {MAX_BYTES}",
                text.len()
            ))
            .into());
        }
        serde_json::from_slice(&text)
            .map_err(|error| Usage(format!("{shown} is not a plugin's manifest: {error}")).into())
    }
}
