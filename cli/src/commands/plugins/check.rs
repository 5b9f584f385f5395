//! `plugin check`: would the server take it?

use std::path::Path;
use std::process::ExitCode;

use engine::diagnostic::Diagnostic;
use serde_json::json;

use super::admitting::{admit, sandbox};
use super::push::facts;
use crate::arguments::LocalOptions;
use crate::{fault, output};

/// Checks a plugin; fails if there is a problem.
pub(super) async fn check(options: &LocalOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let sandbox = sandbox()?;
    let judged = admit(&sandbox, &options.file, options.manifest.as_deref()).await?;
    let local = match judged {
        Ok(local) => local,
        Err(problems) => return refuse(&options.file, &problems, as_json),
    };
    let plugin = local.describe(&sandbox);
    if as_json {
        output::json(&json!({ "valid": true, "diagnostics": [], "plugin": plugin }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!("{}: valid {}", options.file.display(), local.admitted.digest))?;
    // Where it will be in its life is the server's to say.
    for (label, value) in facts(&plugin).into_iter().filter(|(label, _)| *label != "status") {
        output::line(format!("  {label:<13}{value}"))?;
    }
    if local.claims.name.is_none() || local.claims.version.is_none() {
        output::note("it carries no name and version: give `plugin push` --name and --version");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is wrong.
pub(super) fn refuse(
    file: &Path,
    problems: &[Diagnostic],
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if as_json {
        output::json(&json!({ "valid": false, "diagnostics": problems }))?;
        return Ok(ExitCode::FAILURE);
    }
    for problem in problems {
        output::line(format!("{}:{}", file.display(), fault::text(&json!(problem))))?;
    }
    Ok(ExitCode::FAILURE)
}
