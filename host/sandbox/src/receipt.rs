//! What is kept of a plugin version and shown of it: what it is, what it asks for, what making it cost. The server says it
//! of an upload, and `stateflow plugin check` of a file.

use engine::capability::{CapabilityKind, CapabilitySet, Requested};
use engine::diagnostic::Diagnostic;
use serde_json::{Value, json};

use crate::{admission::Admitted, config::CallLimits};

/// What is said of a plugin beside its bytes, by itself or by its manifest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// `team/name`.
    pub name: Option<&'a str>,
    /// A semantic version.
    pub version: Option<&'a str>,
    /// One sentence.
    pub description: Option<&'a str>,
    /// The JSON Schema of the resolved config.
    pub config_schema: Option<&'a Value>,
    /// The JSON Schema of the output.
    pub output_schema: Option<&'a Value>,
}

impl Admitted {
    /// Everything that a plugin asks for, from what it imports and what its manifest names; or where the two do not go
    /// together, and which rules of egress are none.
    pub fn asked(&self, requested: &Requested) -> Result<CapabilitySet, Vec<Diagnostic>> {
        let mismatched = |faults: Vec<engine::capability::Mismatch>| {
            let told = faults.into_iter().map(|fault| {
                Diagnostic::new(&fault.pointer, "CAPABILITY_MISMATCH", &fault.message)
                    .with_help(&fault.help)
            });
            told.collect::<Vec<_>>()
        };
        let set = requested.with(&self.capabilities).map_err(mismatched)?;
        let faults: Vec<_> = set
            .subjects(CapabilityKind::Http)
            .filter_map(|rule| Some((rule, rule.parse::<egress::Rule>().err()?)))
            .map(|(rule, error)| {
                let message = format!("`{rule}`: {error}");
                Diagnostic::new("/capabilities/hosts", "EGRESS_RULE_INVALID", message)
            })
            .collect();
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }

    /// The receipt, as JSON. The limits are those of a step that says nothing else.
    pub fn describe(
        &self,
        said: &Said<'_>,
        asked: &CapabilitySet,
        upload_bytes: usize,
        limits: CallLimits,
    ) -> Value {
        let compiled = self.prepared.receipt();
        json!({
            "name": said.name,
            "version": said.version,
            "digest": self.digest,
            "kind": self.kind,
            "description": said.description,
            "imports": self.imports,
            "capabilities": asked,
            "limits": {
                "fuel": limits.fuel,
                "memoryMb": limits.memory_bytes >> 20,
                "timeoutMs": u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
            },
            "sizes": { "upload": upload_bytes, "component": self.component.len() },
            "compile": { "ms": compiled.ms, "tier": compiled.tier, "bytes": compiled.bytes },
            "configSchema": said.config_schema,
            "outputSchema": said.output_schema,
        })
    }
}
