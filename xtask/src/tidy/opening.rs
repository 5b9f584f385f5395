//! Rule `opening`: every Rust file opens by saying what it is.

use super::Finding;
use crate::repository::Repository;

/// A crate's front page may be its README.
const FRONT_PAGE: &str = "#![doc = include_str!(";

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    repository
        .rust()
        .filter(|file| !file.text.starts_with("//!") && !file.text.starts_with(FRONT_PAGE))
        .map(|file| {
            Finding::new("opening", &file.path, 1, "opens without `//!`: say what the file is")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_starts_with_code_is_found() {
        let repository = Repository::of(&[
            ("good.rs", "//! Good.\n"),
            ("lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
            ("bad.rs", "use std::fmt;\n//! Too late.\n"),
            ("bad.py", "import os\n"),
        ]);
        let findings = check(&repository);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "bad.rs");
    }
}
