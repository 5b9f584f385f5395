//! Rule `doc-paths`: a path that the documents name exists.

use super::Finding;
use crate::repository::{File, Repository};

/// Documents at the root whose paths are checked, beside everything in `docs`.
const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Files at the root: without a slash only these are taken for paths.
const ROOT_FILES: [&str; 10] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Makefile",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
    "typos.toml",
];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let documents = repository.files.iter().filter(|file| {
        DOCUMENTS.contains(&file.path.as_str())
            || (file.path.starts_with("docs/") && file.has_extension("md"))
    });
    documents.flat_map(|document| check_document(repository, document)).collect()
}

fn check_document(repository: &Repository, document: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in document.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backticks is code.
        for code in line.split('`').skip(1).step_by(2) {
            if let Some(path) = as_path(repository, code)
                && !repository.has(path)
            {
                let message = format!("`{path}` does not exist");
                findings.push(Finding::new("doc-paths", &document.path, index + 1, message));
            }
        }
    }
    findings
}

/// The path that the code means, if it means one.
fn as_path<'a>(repository: &Repository, code: &'a str) -> Option<&'a str> {
    // Patterns and placeholders stand for many paths.
    if code.contains([' ', '<', '{', '*', '$', '…']) || code.contains("NNNN") {
        return None;
    }
    let path = code.split(['#', ':']).next().unwrap_or(code).trim_end_matches('/');
    match path.split_once('/') {
        Some((first, _)) => (!first.is_empty() && is_folder(repository, first)).then_some(path),
        None => ROOT_FILES.contains(&path).then_some(path),
    }
}

fn is_folder(repository: &Repository, name: &str) -> bool {
    let folder = format!("{name}/");
    repository.files.iter().any(|file| file.path.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_in(text: &str) -> Vec<usize> {
        let repository =
            Repository::of(&[("docs/a.md", text), ("engine/src/lib.rs", ""), ("deny.toml", "")]);
        check(&repository).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_path_that_leads_nowhere_is_found_with_its_line() {
        assert_eq!(findings_in("a\n`engine/src/gone.rs` and `engine/src/lib.rs`\n"), [2]);
        assert_eq!(findings_in("`Makefile` `deny.toml`"), [1]);
        assert_eq!(findings_in("`engine/src/lib.rs:12`, `engine/src/`, `engine/`"), [0; 0]);
    }

    #[test]
    fn what_is_not_a_path_of_this_repository_is_left_alone() {
        let others =
            "`/api/health` `application/json` `engine/<name>.rs` `engine/*.rs` engine/gone `a b/c`";
        assert_eq!(findings_in(others), [0; 0]);
        assert_eq!(findings_in("```\n`engine/gone.rs`\n```\n"), [0; 0]);
    }
}
