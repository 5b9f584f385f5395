//! Rule `promises`: a test that the security document names exists.

use super::Finding;
use crate::repository::Repository;

/// Where each promise names the test that it rests on.
const DOCUMENT: &str = "docs/security.md";

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let Some(document) = repository.file(DOCUMENT) else { return Vec::new() };
    let mut findings = Vec::new();
    for (index, line) in document.text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2).filter(|code| is_test_name(code)) {
            let declared = format!("fn {name}(");
            if !repository.rust().any(|file| file.text.contains(&declared)) {
                let message = format!("there is no test `{name}`");
                findings.push(Finding::new("promises", DOCUMENT, index + 1, message));
            }
        }
    }
    findings
}

/// Tests are sentences: several words of lower-case letters.
fn is_test_name(code: &str) -> bool {
    code.contains('_')
        && !code.starts_with('_')
        && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_that_rests_on_nothing_is_found_with_its_line() {
        let rust = "async fn guests_are_stopped() {}";
        let text = "| a | `guests_are_stopped` |\n| b | `guests_are_lost`, `host/x.rs`, `by` |\n";
        let repository = Repository::of(&[(DOCUMENT, text), ("host/sandbox/tests/it/a.rs", rust)]);
        let lines: Vec<_> = check(&repository).into_iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2]);
    }
}
