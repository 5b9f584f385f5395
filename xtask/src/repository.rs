//! The files of the repository as the rules see them: what git knows or would add, with the text of those that rules read.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The kinds of files whose text some rule reads.
const READ: [&str; 5] = ["rs", "toml", "md", "sql", "sh"];

/// The repository, or in a rule's own tests a few made-up files.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<File>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// Empty for kinds that no rule reads.
    pub(crate) text: String,
}

impl Repository {
    /// The checkout that this program was built from.
    pub(crate) fn open() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask is a folder of the repository")?
            .to_owned();
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(&root)
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let listed = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
        let mut repository = Self { root, files: Vec::new() };
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            repository.add(path)?;
        }
        Ok(repository)
    }

    fn add(&mut self, path: &str) -> Result<()> {
        let place = self.root.join(path);
        // Git lists what was deleted and not committed yet.
        if !place.is_file() {
            return Ok(());
        }
        let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
        let text = if extension.is_some_and(|extension| READ.contains(&extension)) {
            std::fs::read_to_string(&place).with_context(|| format!("cannot read {path}"))?
        } else {
            String::new()
        };
        self.files.push(File { path: path.to_owned(), text });
        Ok(())
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or a folder has this path.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.has_extension("rs"))
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        Self { root: PathBuf::new(), files }
    }
}

impl File {
    pub(crate) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// In a `tests` folder, or the tests of one file that have a file of their own.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.name() == "tests.rs"
    }

    /// Code for plugins: another target, another world.
    pub(crate) fn is_guest(&self) -> bool {
        ["sdk/", "examples/"].iter().any(|folder| self.path.starts_with(folder))
            || (self.path.starts_with("plugins/") && !self.path.starts_with("plugins/native/"))
    }

    /// The lines before the tests at the foot, numbered from 1.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let foot = lines
            .windows(2)
            .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "))
            .unwrap_or(lines.len());
        lines.into_iter().take(foot).enumerate().map(|(index, line)| (index + 1, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_at_the_foot_are_not_production() {
        let text = "//! a\n#[cfg(test)]\nfn only_in_tests() {}\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
        let repository = Repository::of(&[("a.rs", text)]);
        assert_eq!(repository.files[0].production().count(), 5);
    }

    #[test]
    fn a_folder_is_known_by_its_files() {
        let repository = Repository::of(&[("a/b/c.rs", "")]);
        assert!(repository.has("a/b") && repository.has("a/b/c.rs"));
        assert!(!repository.has("a/b/c") && !repository.has("a/bb"));
    }
}
