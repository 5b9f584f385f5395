//! What an upload goes through, without a server: the same sandbox with the compiler in its process, and the same
//! judgement of manifest and module.

use std::path::{Path, PathBuf};

use anyhow::Context;
use engine::capability::CapabilitySet;
use engine::diagnostic::Diagnostic;
use engine::step_type::is_plugin_name;
use sandbox::{Admitted, Sandbox, SandboxConfig, SandboxError};
use semver::Version;
use serde_json::{Value, json};

use super::manifest::ManifestFile;
use crate::configuration;
use crate::plugin_build::PluginBuild;

/// A plugin that can run here, and what is said of it.
pub(super) struct Local {
    pub(super) admitted: Admitted,
    pub(super) claims: ManifestFile,
    /// Everything that it asks for.
    pub(super) asked: CapabilitySet,
    pub(super) upload_bytes: usize,
}

/// A sandbox as the server has it, without a cache. Whoever has the server's file of build limits names it in the same variable.
pub(super) fn sandbox() -> anyhow::Result<Sandbox> {
    let isolation = configuration::compiler()?;
    let file = std::env::var_os("STATEFLOW_PLUGIN_BUILD").map(PathBuf::from);
    let build = PluginBuild::read(file.as_deref())?;
    Ok(Sandbox::new(SandboxConfig { isolation, ..build.onto(SandboxConfig::new(rand::random())) })?)
}

/// Admits a plugin, or says everything that is wrong with it.
pub(super) async fn admit(
    sandbox: &Sandbox,
    file: &Path,
    manifest: Option<&Path>,
) -> anyhow::Result<Result<Local, Vec<Diagnostic>>> {
    let module = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let said = ManifestFile::about(file, manifest)?;
    let admitted = match sandbox.admit("local", &module).await {
        Ok(admitted) => admitted,
        Err(SandboxError::Invalid { code, message, help }) => {
            return Ok(Err(vec![Diagnostic::new("", &code, message).with_help(help)]));
        }
        Err(error) => return Err(error.into()),
    };
    let (claims, mut problems) = claims(said.unwrap_or_default(), &admitted);
    let asked = match admitted.asked(&claims.capabilities.clone().unwrap_or_default()) {
        Ok(asked) => asked,
        Err(more) => {
            problems.extend(more);
            CapabilitySet::default()
        }
    };
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    Ok(Ok(Local { admitted, claims, asked, upload_bytes: module.len() }))
}

/// What the file says beside what the plugin says of itself, which nobody can contradict.
fn claims(said: ManifestFile, admitted: &Admitted) -> (ManifestFile, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let own = admitted.manifest.as_ref().map_or(Value::Null, |own| json!(own));
    let mut merged = json!(said);
    for field in ["name", "version", "description", "configSchema", "outputSchema", "capabilities"]
    {
        match (&own[field], &merged[field]) {
            (Value::Null, _) => {}
            (own, said) if said.is_null() || own == said => merged[field] = own.clone(),
            (own, said) => problems.push(
                Diagnostic::new(
                    format!("/{field}"),
                    "PLUGIN_IDENTITY_MISMATCH",
                    format!("the plugin says {own}, the manifest says {said}"),
                )
                .with_help("leave it out of the manifest: the plugin says it itself"),
            ),
        }
    }
    let merged: ManifestFile = serde_json::from_value(merged).unwrap_or(said);
    problems.extend(misnamed(&merged));
    (merged, problems)
}

fn misnamed(claims: &ManifestFile) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if let Some(name) = claims.name.as_ref().filter(|name| !is_plugin_name(name)) {
        let message = format!("`{name}` is not a plugin name");
        problems.push(
            Diagnostic::new("/name", "PLUGIN_NAME_INVALID", message)
                .with_help("it is `team/name`, of lower-case letters, digits and dashes"),
        );
    }
    if let Some((version, Err(error))) =
        claims.version.as_ref().map(|version| (version, Version::parse(version)))
    {
        let message = format!("`{version}` is not a semantic version: {error}");
        problems.push(
            Diagnostic::new("/version", "PLUGIN_VERSION_INVALID", message)
                .with_help("write it such as 1.2.0"),
        );
    }
    problems
}

impl Local {
    /// As the server shows a version.
    pub(super) fn describe(&self, sandbox: &Sandbox) -> Value {
        let limits = sandbox.default_limits();
        self.admitted.describe(&self.claims.said(), &self.asked, self.upload_bytes, limits)
    }
}
