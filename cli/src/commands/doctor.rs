//! `doctor`: what works and what does not.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::diagnosis;
use super::executions::text;
use crate::arguments::DoctorOptions;
use crate::client::Client;
use crate::{configuration, output};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    /// As it should be.
    Ok,
    /// Not looked at, or nothing that matters here.
    Note,
    /// It works, and will not for ever.
    Warn,
    /// It does not work, or data may be lost.
    Fail,
}

/// What was looked at, what was found, and what to do.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    #[serde(rename = "status")]
    pub(crate) mark: Mark,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'static str>,
}

impl Finding {
    pub(super) fn ok(check: &'static str, message: String) -> Self {
        Self { check, mark: Mark::Ok, message, help: None }
    }

    fn note(check: &'static str, message: &str) -> Self {
        Self { check, mark: Mark::Note, message: message.to_owned(), help: None }
    }

    pub(super) fn warn(check: &'static str, message: String, help: &'static str) -> Self {
        Self { check, mark: Mark::Warn, message, help: Some(help) }
    }

    pub(super) fn fail(check: &'static str, message: String, help: &'static str) -> Self {
        Self { check, mark: Mark::Fail, message, help: Some(help) }
    }

    pub(super) fn is_failure(&self) -> bool {
        self.mark == Mark::Fail
    }

    fn line(&self) -> String {
        let mark = match self.mark {
            Mark::Ok => "ok  ",
            Mark::Note => "-   ",
            Mark::Warn => "WARN",
            Mark::Fail => "FAIL",
        };
        let help = self.help.map(|help| format!(": {help}")).unwrap_or_default();
        format!("{mark} {}: {}{help}", self.check, self.message)
    }
}

/// Looks at everything; fails if something does. What only warns does not.
pub(crate) async fn doctor(
    options: DoctorOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let mut findings = vec![postgres_programs()];
    if options.database.database_url.is_some() {
        let settings = configuration::store(&options.database, 4)?;
        let long = Duration::from_secs(options.long_transaction_s);
        findings.extend(diagnosis::database(settings, long).await);
    } else {
        findings.push(Finding::note("database", "DATABASE_URL is not set, not looked at"));
    }
    findings.push(match client.get("/api/health").await {
        Ok(health) => server(text(&health["status"])),
        Err(error) => {
            Finding::fail("server", format!("{error:#}"), "start it, or set STATEFLOW_URL")
        }
    });
    let failed = findings.iter().any(Finding::is_failure);
    if as_json {
        output::json(&json!({ "ok": !failed, "checks": findings }))?;
    } else {
        for finding in &findings {
            output::line(finding.line())?;
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What a server says of itself.
fn server(status: String) -> Finding {
    if status == "healthy" {
        return Finding::ok("server", status);
    }
    Finding::fail("server", status, "see `stateflow health`, and the checks of the database above")
}

/// Only `stateflow dev` needs them: a machine that connects does without.
fn postgres_programs() -> Finding {
    let check = "Postgres server programs";
    match postgres::Binaries::find(None) {
        Some(found) => Finding::ok(check, format!("version {}", found.major())),
        None => Finding::note(
            check,
            "none installed; only `stateflow dev` needs them, and fetches them when it can",
        ),
    }
}
