//! The Markdown files as they stand in the repository: every relative link leads to a file, and to a heading if it says so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use mdbook_markdown::pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::finding::{Finding, fault_of_form, is_external};
use crate::sources::resolve;

/// What is wrong with the links of all documents.
pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in listed(root)? {
        let text = read(root, &path)?;
        for link in links(&text) {
            findings.extend(
                fault(root, &path, &link).map(|it| Finding::new(&path.display().to_string(), it)),
            );
        }
    }
    Ok(findings)
}

/// The Markdown files that git knows or would add.
fn listed(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
            "--",
            "*.md",
        ])
        .current_dir(root)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let paths = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
    let paths = paths.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from);
    // Git lists what was deleted and not committed yet.
    Ok(paths.filter(|path| root.join(path).is_file()).collect())
}

fn read(root: &Path, path: &Path) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {}", path.display()))
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES)
}

fn links(text: &str) -> Vec<String> {
    let links = parser(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.into_string())
        }
        _ => None,
    });
    links.collect()
}

fn fault(root: &Path, from: &Path, link: &str) -> Option<String> {
    if is_external(link) {
        return fault_of_form(link);
    }
    let target = resolve(from, link);
    let Some(path) = target.path.filter(|path| root.join(path).exists()) else {
        return Some(format!("`{link}` leads to no file"));
    };
    let anchor = target.anchor?;
    let text = fs::read_to_string(root.join(&path)).unwrap_or_default();
    (!anchors(&text).contains(&anchor)).then(|| format!("`{link}` leads to no heading"))
}

/// The names that a document's headings are linked by.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut heading) = (BTreeSet::new(), None::<String>);
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|it| anchor(&it))),
            _ => {}
        }
    }
    anchors
}

/// Lower case, blanks as dashes, and nothing but letters and digits besides.
fn anchor(heading: &str) -> String {
    let letters = heading.to_lowercase();
    let kept = letters.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        fs::write(root.path().join("docs/a.md"), "# A\n\n## 2. `b`, and c\n").unwrap();
        links(text)
            .iter()
            .filter_map(|link| fault(root.path(), Path::new("README.md"), link))
            .collect()
    }

    #[test]
    fn links_to_files_and_headings_are_fine() {
        assert_eq!(
            faults("[a](docs/a.md) [b](docs/a.md#2-b-and-c) [c](docs) [d](https://cel.dev)"),
            [""; 0]
        );
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        assert_eq!(faults("[a](docs/b.md)"), ["`docs/b.md` leads to no file"]);
        assert_eq!(faults("[a](../a.md)"), ["`../a.md` leads to no file"]);
        assert_eq!(faults("[a](docs/a.md#b)"), ["`docs/a.md#b` leads to no heading"]);
        assert_eq!(faults("[a](https://)").len(), 1);
        assert_eq!(faults("`[a](docs/b.md)`"), [""; 0]);
    }
}
