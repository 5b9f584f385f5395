//! `validate`: definitions and plugins, offline.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use egress::{Egress, EgressSettings};
use engine::control::ControlType;
use engine::diagnostic::Diagnostic;
use engine::step_type::PluginReference;
use engine::validate::{CatalogEntry, StepCatalog, validate_text};
use native::{HttpSettings, NativeSteps};
use sandbox::{Sandbox, SandboxConfig, SandboxError};
use serde_json::{Value, json};

use crate::arguments::ValidateOptions;
use crate::configuration;
use crate::{fault, output};

/// Checks every file; fails if one of them has a problem.
pub(crate) async fn validate(options: &ValidateOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut valid = true;
    let mut reports = Vec::new();
    for file in &options.files {
        let bytes =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let problems =
            if is_plugin(file, &bytes) { plugin(&bytes).await? } else { definition(&bytes)? };
        valid &= problems.is_empty();
        if as_json {
            reports.push(
                json!({ "file": file, "valid": problems.is_empty(), "diagnostics": problems }),
            );
        } else {
            report(file, &problems)?;
        }
    }
    if as_json {
        output::json(&Value::Array(reports))?;
    }
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(file: &Path, problems: &[Diagnostic]) -> anyhow::Result<()> {
    if problems.is_empty() {
        return output::line(format!("{}: {}", file.display(), output::good("valid")));
    }
    for problem in problems {
        output::lines(&format!("{}:{}", file.display(), fault::text(&json!(problem))))?;
    }
    let count = output::count(problems.len() as u64, "problem");
    output::note(&format!("{}: {count}; `stateflow explain CODE` says more", file.display()));
    Ok(())
}

fn is_plugin(file: &Path, bytes: &[u8]) -> bool {
    file.extension().is_some_and(|it| it == "wasm" || it == "wat") || bytes.starts_with(b"\0asm")
}

fn definition(bytes: &[u8]) -> anyhow::Result<Vec<Diagnostic>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(vec![Diagnostic::new("", "SYNTAX", "the file is not UTF-8 text")]);
    };
    let catalog =
        Offline(NativeSteps::new(Egress::new(EgressSettings::default())?, HttpSettings::default()));
    Ok(validate_text(text, &catalog).err().unwrap_or_default())
}

/// Compiles the plugin as the server would, and throws the result away.
async fn plugin(bytes: &[u8]) -> anyhow::Result<Vec<Diagnostic>> {
    let sandbox = Sandbox::new(SandboxConfig {
        isolation: configuration::compiler()?,
        ..SandboxConfig::new(rand::random())
    })?;
    match sandbox.admit("local", bytes).await {
        Ok(_) => Ok(Vec::new()),
        Err(SandboxError::Invalid { code, message, help }) => {
            Ok(vec![Diagnostic::new("", &code, message).with_help(help)])
        }
        Err(error) => Err(error.into()),
    }
}

/// What is known without a server: the built-in step types.
struct Offline(NativeSteps);

impl StepCatalog for Offline {
    fn native(&self, name: &str) -> CatalogEntry {
        match self.0.get(name) {
            Some(step) => CatalogEntry::Known { config_schema: Some(step.config_schema()) },
            None => {
                let control = ControlType::ALL.map(ControlType::as_str);
                let names: Vec<_> = self.0.names().chain(control).collect();
                let near = Diagnostic::did_you_mean(name, names.iter().copied());
                let all =
                    || format!("built in are `{}`; a plugin is `team/name`", names.join("`, `"));
                CatalogEntry::Unknown { help: Some(near.unwrap_or_else(all)) }
            }
        }
    }

    fn plugin(&self, _: &PluginReference) -> CatalogEntry {
        CatalogEntry::Unchecked
    }

    fn faulty_rule(&self, rule: &str) -> Option<String> {
        rule.parse::<egress::Rule>().err().map(|error| error.to_string())
    }
}
