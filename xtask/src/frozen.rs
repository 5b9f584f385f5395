//! What was released and must never change: migrations that ran somewhere, WIT folders that plugins were built for.
//!
//! `xtask/frozen.toml` has the sha256 of each file. Rule `frozen`: they are all as they were, and nothing was added to
//! a frozen WIT folder.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::repository::Repository;
use crate::tidy::Finding;

const LIST: &str = "xtask/frozen.toml";

/// Below it, folders are frozen as wholes.
const WORLDS: &str = "sdk/wit/";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    sha256: BTreeMap<String, String>,
}

/// Files that changed or vanished since they were frozen, and newcomers in frozen folders.
pub(crate) fn check(repository: &Repository) -> Result<Vec<Finding>> {
    let list = read(repository)?;
    let mut findings = Vec::new();
    for (path, digest) in &list.sha256 {
        let message = match digest_of(&repository.root, path) {
            Ok(found) if found == *digest => continue,
            Ok(_) => "was released and must not change: add a new version beside it",
            Err(_) => "was released and must not be removed",
        };
        findings.push(Finding::new("frozen", path, 0, message));
    }
    for file in repository.files.iter().filter(|file| file.path.starts_with(WORLDS)) {
        let is_frozen = |listed: &String| folder(listed) == folder(&file.path);
        if !list.sha256.contains_key(&file.path) && list.sha256.keys().any(is_frozen) {
            let message = "is new in a released folder: add a new version beside it";
            findings.push(Finding::new("frozen", &file.path, 0, message));
        }
    }
    Ok(findings)
}

/// Adds files, and all files of folders, to the list. Returns how many were new.
pub(crate) fn freeze(repository: &Repository, paths: &[&str]) -> Result<usize> {
    let mut list = read(repository)?;
    let before = list.sha256.len();
    for path in paths.iter().map(|path| path.trim_end_matches('/')) {
        if !repository.has(path) {
            bail!("{path} is not in the repository");
        }
        let folder = format!("{path}/");
        let files = repository.files.iter().map(|file| &file.path);
        for file in files.filter(|file| *file == path || file.starts_with(&folder)) {
            let digest = digest_of(&repository.root, file)?;
            if list.sha256.insert(file.clone(), digest.clone()).is_some_and(|old| old != digest) {
                bail!("{file} is frozen already and has changed since: undo the change");
            }
        }
    }
    write(repository, &list)?;
    Ok(list.sha256.len() - before)
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn read(repository: &Repository) -> Result<List> {
    let file = repository.file(LIST).with_context(|| format!("{LIST} is missing"))?;
    toml::from_str(&file.text).with_context(|| format!("cannot read {LIST}"))
}

/// Keeps the comment above the table.
fn write(repository: &Repository, list: &List) -> Result<()> {
    let file = repository.file(LIST).with_context(|| format!("{LIST} is missing"))?;
    let heading = file.text.split("[sha256]").next().unwrap_or_default();
    let mut text = format!("{heading}[sha256]\n");
    for (path, digest) in &list.sha256 {
        writeln!(text, "{path:?} = {digest:?}")?;
    }
    fs::write(repository.root.join(LIST), text).with_context(|| format!("cannot write {LIST}"))
}

fn digest_of(root: &Path, path: &str) -> Result<String> {
    let bytes = fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const WORLD: &str = "sdk/wit/v1/world.wit";

    /// A repository on disk, because digests are of what is on disk.
    fn repository(home: &TempDir, files: &[(&str, &str)]) -> Repository {
        for (path, text) in files {
            let place = home.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        let list = fs::read_to_string(home.path().join(LIST)).unwrap();
        let known: Vec<(&str, &str)> = files
            .iter()
            .copied()
            .filter(|(path, _)| *path != LIST)
            .chain([(LIST, list.as_str())])
            .collect();
        Repository { root: home.path().to_owned(), ..Repository::of(&known) }
    }

    fn frozen() -> TempDir {
        let home = tempfile::tempdir().unwrap();
        let files = [(LIST, "# Why.\n\n[sha256]\n"), (WORLD, "v1")];
        assert_eq!(freeze(&repository(&home, &files), &["sdk/wit/v1"]).unwrap(), 1);
        home
    }

    #[test]
    fn what_was_frozen_stays_as_it_was() {
        let home = frozen();
        assert_eq!(check(&repository(&home, &[(WORLD, "v1")])).unwrap(), []);
        assert_eq!(check(&repository(&home, &[(WORLD, "v2")])).unwrap().len(), 1);
        fs::remove_file(home.path().join(WORLD)).unwrap();
        assert_eq!(check(&repository(&home, &[])).unwrap().len(), 1);
        assert!(fs::read_to_string(home.path().join(LIST)).unwrap().starts_with("# Why.\n"));
    }

    #[test]
    fn a_newcomer_in_a_frozen_world_is_found_and_one_beside_it_is_not() {
        let home = frozen();
        let newcomer = [(WORLD, "v1"), ("sdk/wit/v1/more.wit", "")];
        assert_eq!(check(&repository(&home, &newcomer)).unwrap().len(), 1);
        assert_eq!(
            check(&repository(&home, &[(WORLD, "v1"), ("sdk/wit/v2/a.wit", "")])).unwrap(),
            []
        );
    }

    #[test]
    fn freezing_again_does_not_bless_a_change() {
        let home = frozen();
        let error = freeze(&repository(&home, &[(WORLD, "v2")]), &[WORLD]).unwrap_err();
        assert!(error.to_string().contains("frozen already"), "{error}");
        assert!(freeze(&repository(&home, &[]), &["sdk/wit/v9"]).is_err());
    }
}
