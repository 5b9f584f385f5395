//! Finds the Postgres server that is installed on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The oldest major version that `StateFlow`'s SQL runs on.
const OLDEST_MAJOR: u32 = 14;

/// Where packages put one folder per major version.
const VERSIONED: [(&str, &str); 3] = [
    ("/usr/lib/postgresql", "bin"),
    ("/Library/PostgreSQL", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// Where packages put a single version; Homebrew's names carry the major version.
const FIXED: [&str; 4] =
    ["/usr/pgsql/bin", "/usr/local/pgsql/bin", "/opt/homebrew/bin", "/usr/local/bin"];

/// A directory with `postgres` and `initdb` of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// Empty when the programs are found on the search path.
    directory: PathBuf,
    major: u32,
}

impl Binaries {
    /// The newest installed server, or the one of the given major version.
    pub fn find(wanted_major: Option<u32>) -> Option<Self> {
        let mut found: Vec<Self> =
            candidates().into_iter().filter_map(|directory| Self::probe(&directory)).collect();
        found.retain(|binaries| wanted_major.is_none_or(|major| major == binaries.major));
        // Stable: among equal versions the earlier candidate stays first.
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        found.into_iter().next()
    }

    /// The server in this directory.
    pub fn at(directory: &Path) -> Result<Self> {
        match Self::probe(directory) {
            Some(binaries) => Ok(binaries),
            None => bail!(
                "{} holds no Postgres server of version {OLDEST_MAJOR} or later",
                directory.display()
            ),
        }
    }

    /// The major version, such as 17.
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn probe(directory: &Path) -> Option<Self> {
        let major = major_of(&version_line(&directory.join("postgres"))?)?;
        version_line(&directory.join("initdb"))?;
        (major >= OLDEST_MAJOR).then(|| Self { directory: directory.to_owned(), major })
    }
}

fn candidates() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && output.status.success()
    {
        directories.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    for (parent, below) in VERSIONED {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        directories
            .extend(entries.map(|entry| entry.path().join(below)).filter(|bin| bin.is_dir()));
    }
    for cellar in ["/opt/homebrew/opt", "/usr/local/opt"] {
        let entries = fs::read_dir(cellar).into_iter().flatten().flatten();
        directories.extend(
            entries
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("postgresql"))
                .map(|entry| entry.path().join("bin")),
        );
    }
    directories.extend(FIXED.map(PathBuf::from));
    // An empty directory makes the program's bare name: the search path decides.
    directories.push(PathBuf::new());
    directories
}

fn version_line(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0)` is 15; so is `16beta1` 16.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_form_that_postgres_prints() {
        for (line, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 17.0", Some(17)),
            ("postgres (PostgreSQL) 18beta1", Some(18)),
            ("mysqld 8.0", None),
        ] {
            assert_eq!(major_of(line), major, "{line}");
        }
    }

    #[test]
    fn a_directory_without_a_server_is_refused_by_name() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::at(empty.path()).unwrap_err().to_string();
        assert!(error.contains(&empty.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_major_version_that_nobody_has_is_not_found() {
        assert_eq!(Binaries::find(Some(9_999)), None);
    }
}
