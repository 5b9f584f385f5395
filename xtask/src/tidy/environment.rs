//! Rule `environment`: the environment is read once, in `cli`. Plugins have an environment of their own.

use super::Finding;
use crate::repository::Repository;

/// Also covers `var_os` and `vars`. In two parts, so that this file does not break the rule.
const READ: &str = concat!("env::", "var");

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.rust() {
        if file.path.starts_with("cli/") || file.is_guest() {
            continue;
        }
        for (line, text) in file.production().filter(|(_, text)| text.contains(READ)) {
            if !text.trim_start().starts_with("//") {
                let message = "reads the environment: take the value as an argument from cli";
                findings.push(Finding::new("environment", &file.path, line, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_the_environment_outside_cli_is_found() {
        let reads = format!("//! A.\n\nlet a = std::{READ}_os(\"A\");\n");
        let repository = Repository::of(&[
            ("cli/src/a.rs", &reads),
            ("examples/plugins/a/src/lib.rs", &reads),
            ("engine/src/a.rs", &reads),
        ]);
        let findings = check(&repository);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].path.as_str(), findings[0].line), ("engine/src/a.rs", 3));
    }
}
