//! Rule `markers`: words in the code that put something off: ignored tests, notes without an issue, sleeping tests.
//!
//! The words are written in two parts, so that this file does not break the rule.

use super::Finding;
use crate::repository::{File, Repository};

const IGNORED: &str = concat!("#[", "ignore");
const NOTE: &str = concat!("TO", "DO");
const SLEEP: &str = concat!("sleep", "(");

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    repository.files.iter().flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let is_rust = file.has_extension("rs");
    let mut findings = Vec::new();
    for (index, text) in file.text.lines().enumerate() {
        let mut found =
            |message: &str| findings.push(Finding::new("markers", &file.path, index + 1, message));
        if is_rust && text.contains(IGNORED) {
            found("an ignored test tests nothing: mend it or remove it");
        }
        if is_rust && file.is_test() && text.contains(SLEEP) {
            found("a test sleeps: wait for the event itself, with a barrier or a channel");
        }
        if !file.has_extension("md") && has_bare_note(text) {
            found("a note for later needs an issue's number: #123");
        }
    }
    findings
}

fn has_bare_note(text: &str) -> bool {
    let Some((_, rest)) = text.split_once(NOTE) else { return false };
    let mut after_hash = rest.split('#').skip(1);
    !after_hash.any(|number| number.starts_with(|digit: char| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&Repository::of(&[(path, text)])).len()
    }

    #[test]
    fn an_ignored_test_is_found_with_and_without_a_reason() {
        assert_eq!(count("a.rs", &format!("{IGNORED}]")), 1);
        assert_eq!(count("a.rs", &format!("{IGNORED} = \"slow\"]")), 1);
    }

    #[test]
    fn a_note_needs_the_number_of_an_issue() {
        assert_eq!(count("a.rs", &format!("// {NOTE}: later")), 1);
        assert_eq!(count("a.sql", &format!("-- {NOTE} # 5")), 1);
        assert_eq!(count("a.rs", &format!("// {NOTE} #12: later")), 0);
    }

    #[test]
    fn only_tests_must_not_sleep() {
        let sleeps = format!("tokio::time::{SLEEP}a).await;");
        assert_eq!(count("a/tests/it/b.rs", &sleeps), 1);
        assert_eq!(count("a/src/b.rs", &sleeps), 0);
    }
}
