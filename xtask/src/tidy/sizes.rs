//! Rule `sizes`: no file is longer than what one reads at a sitting. Functions are clippy's.

use super::Finding;
use crate::repository::Repository;

/// Lines before the tests at the foot.
const PRODUCTION_LINES: usize = 500;
/// Tests are read one at a time.
const TEST_LINES: usize = 800;
/// A map that one has in mind, and how many words it takes.
const MAP: (&str, usize) = ("ARCHITECTURE.md", 1_500);

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.rust() {
        let (lines, limit) = if file.is_test() {
            (file.text.lines().count(), TEST_LINES)
        } else {
            (file.production().count(), PRODUCTION_LINES)
        };
        if lines > limit {
            let message = format!("has {lines} lines; at most {limit}: split it by noun");
            findings.push(Finding::new("sizes", &file.path, 0, message));
        }
    }
    let (path, limit) = MAP;
    let words = repository.file(path).map_or(0, |file| file.text.split_whitespace().count());
    if words > limit {
        let message = format!("has {words} words; at most {limit}: move detail to docs/");
        findings.push(Finding::new("sizes", path, 0, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_for(path: &str, lines: usize, foot: &str) -> usize {
        let text = "fn a() {}\n".repeat(lines) + foot;
        check(&Repository::of(&[(path, &text)])).len()
    }

    #[test]
    fn a_file_may_have_exactly_as_many_lines_as_the_limit() {
        let foot = "#[cfg(test)]\nmod tests {\n}\n";
        for (path, lines, found) in [
            ("src/a.rs", 499, 0),
            ("src/a.rs", 500, 0),
            ("src/a.rs", 501, 1),
            ("tests/it/a.rs", 800, 0),
            ("tests/it/a.rs", 801, 1),
        ] {
            assert_eq!(findings_for(path, lines, ""), found, "{path} {lines}");
        }
        assert_eq!(findings_for("src/a.rs", 500, foot), 0);
    }

    #[test]
    fn the_map_may_have_exactly_as_many_words_as_its_limit() {
        for (words, found) in [(1_499, 0), (1_500, 0), (1_501, 1)] {
            let text = "word ".repeat(words);
            assert_eq!(check(&Repository::of(&[(MAP.0, &text)])).len(), found, "{words}");
        }
    }
}
