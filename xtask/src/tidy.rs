//! Runs every house rule over the repository and takes the argued exceptions off.

mod arrows;
mod codes;
mod doc_paths;
mod environment;
mod markers;
mod names;
mod opening;
mod promises;
mod rooms;
mod sizes;

use std::fmt;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::frozen;
use crate::repository::Repository;

/// Where the exceptions stand.
const EXCEPTIONS: &str = "xtask/tidy.toml";

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    rule: &'static str,
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    message: String,
}

impl Finding {
    pub(crate) fn new(
        rule: &'static str,
        path: &str,
        line: usize,
        message: impl Into<String>,
    ) -> Self {
        Self { rule, path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {} [{}]", self.message, self.rule)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    #[serde(default, rename = "exception")]
    exceptions: Vec<Exception>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    rule: String,
    path: String,
    reason: String,
}

/// Everything that breaks a rule without an exception, and every exception that nothing needs.
pub(crate) fn check(repository: &Repository) -> Result<Vec<Finding>> {
    let file = repository.file(EXCEPTIONS).with_context(|| format!("{EXCEPTIONS} is missing"))?;
    let Exceptions { exceptions } =
        toml::from_str(&file.text).with_context(|| format!("cannot read {EXCEPTIONS}"))?;
    let mut findings = rules(repository)?;
    let unneeded = exceptions.iter().filter_map(|exception| complaint(exception, &findings));
    let unneeded: Vec<Finding> = unneeded.collect();
    findings.retain(|finding| !exceptions.iter().any(|exception| exception.covers(finding)));
    findings.extend(unneeded);
    Ok(findings)
}

fn rules(repository: &Repository) -> Result<Vec<Finding>> {
    let mut findings = opening::check(repository);
    findings.extend(sizes::check(repository));
    findings.extend(names::check(repository));
    findings.extend(arrows::check(repository)?);
    findings.extend(rooms::check(repository)?);
    findings.extend(environment::check(repository));
    findings.extend(markers::check(repository));
    findings.extend(doc_paths::check(repository));
    findings.extend(promises::check(repository));
    findings.extend(codes::check(repository));
    findings.extend(frozen::check(repository)?);
    Ok(findings)
}

fn complaint(exception: &Exception, findings: &[Finding]) -> Option<Finding> {
    let message = if exception.reason.trim().is_empty() {
        format!("the exception for {} gives no reason", exception.path)
    } else if findings.iter().any(|finding| exception.covers(finding)) {
        return None;
    } else {
        format!("nothing needs the exception from `{}` for {}", exception.rule, exception.path)
    };
    Some(Finding::new("exceptions", EXCEPTIONS, 0, message))
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        self.rule == finding.rule && self.path == finding.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let repository = Repository::open().unwrap();
        // A listing that came back empty would be tidy as well.
        assert!(repository.rust().any(|file| file.path == "xtask/src/tidy.rs"));
        let findings = check(&repository).unwrap();
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(findings.is_empty(), "{}", lines.join("\n"));
    }

    fn with_exceptions(exceptions: &str) -> Vec<String> {
        let repository = Repository::of(&[
            ("Cargo.toml", "[workspace]\nmembers = []\n"),
            ("xtask/frozen.toml", "[sha256]\n"),
            (EXCEPTIONS, exceptions),
            ("a.rs", "fn a() {}\n"),
        ]);
        check(&repository).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_exception_needs_a_finding_and_a_reason() {
        let exception = |path: &str, reason: &str| {
            format!("[[exception]]\nrule = \"opening\"\npath = \"{path}\"\nreason = \"{reason}\"\n")
        };
        assert_eq!(with_exceptions("").len(), 1);
        assert_eq!(with_exceptions(&exception("a.rs", "made by a program")), [""; 0]);
        let empty = with_exceptions(&exception("a.rs", ""));
        assert!(empty[0].contains("gives no reason"), "{empty:?}");
        let unneeded = with_exceptions(&exception("b.rs", "gone"));
        assert!(unneeded.iter().any(|line| line.contains("nothing needs")), "{unneeded:?}");
    }
}
