//! Rule `names`: a file is named after what it holds.

use super::Finding;
use crate::repository::Repository;

/// Names for whatever was left over.
const NOUNLESS: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in repository.rust() {
        if file.name() == "mod.rs" {
            let message = "is a mod.rs: use `name.rs` beside `name/`";
            findings.push(Finding::new("names", &file.path, 0, message));
        }
        let mut parts = file.path.split('/').map(|part| part.trim_end_matches(".rs"));
        if let Some(part) = parts.find(|part| NOUNLESS.contains(part)) {
            let message = format!("`{part}` says nothing: name it after what it holds");
            findings.push(Finding::new("names", &file.path, 0, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftover_names_are_found_in_files_and_folders() {
        let paths = ["a/mod.rs", "a/utils.rs", "common/a.rs", "a/commonality.rs", "a/b.rs"];
        let files: Vec<(&str, &str)> = paths.iter().map(|path| (*path, "")).collect();
        let found: Vec<String> =
            check(&Repository::of(&files)).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["a/mod.rs", "a/utils.rs", "common/a.rs"]);
    }
}
