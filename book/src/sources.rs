//! Paths within the repository: where a link leads that stands in a document.

use std::path::{Component, Path, PathBuf};

/// A relative link, resolved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// From the root, with `/`; `None` if it leads out of the repository.
    pub(crate) path: Option<PathBuf>,
    /// What stands behind `#`.
    pub(crate) anchor: Option<String>,
}

/// Where `link` leads from a document at `from`.
pub(crate) fn resolve(from: &Path, link: &str) -> Target {
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (link, None),
    };
    let path = if path.is_empty() {
        Some(from.to_owned())
    } else {
        plain(&from.parent().unwrap_or(Path::new("")).join(path))
    };
    Target { path, anchor }
}

/// Without `.` and `..`.
pub(crate) fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !plain.pop() {
                    return None;
                }
            }
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(plain)
}

/// How one gets from a page to another.
pub(crate) fn relative(from: &Path, to: &Path) -> String {
    let up = from.components().count().saturating_sub(1);
    format!("{}{}", "../".repeat(up), to.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_resolved_from_the_folder_of_their_document() {
        let from = Path::new("docs/guides/a.md");
        let target = |link: &str| resolve(from, link);
        assert_eq!(target("b.md#c").path, Some("docs/guides/b.md".into()));
        assert_eq!(target("b.md#c").anchor, Some("c".into()));
        assert_eq!(target("../../x/y.rs").path, Some("x/y.rs".into()));
        assert_eq!(target("#c").path, Some(from.into()));
        assert_eq!(target("../../../x").path, None);
    }

    #[test]
    fn a_page_is_reached_from_another_folder() {
        assert_eq!(relative(Path::new("a/b/c.md"), Path::new("a/d.md")), "../../a/d.md");
        assert_eq!(relative(Path::new("c.md"), Path::new("a/d.md")), "a/d.md");
    }
}
