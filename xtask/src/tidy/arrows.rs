//! Rule `arrows`: crates depend downwards only, and crates on one floor do not know each other.
//!
//! ```text
//!   7   cli                                 composes
//!   6   api        host/worker              serves, drives
//!   5   host/store   host/sandbox   plugins/native   host/postgres
//!   4   host/secrets                        keeps from everybody
//!   3   host/egress                         lets out
//!   2   host/traces                         tells what is done
//!   1   engine                              decides
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use toml::Table;

use super::Finding;
use crate::repository::Repository;

/// What each crate may depend on. `dev-dependencies` are free: they ship nothing.
const ARROWS: [(&str, &[&str]); 16] = [
    ("engine", &[]),
    ("host/store", &["engine"]),
    ("host/traces", &["engine"]),
    ("host/egress", &["engine", "host/traces"]),
    ("host/secrets", &["engine", "host/egress"]),
    ("host/sandbox", &["engine", "host/egress", "host/secrets"]),
    ("plugins/native", &["engine", "host/egress", "host/secrets"]),
    ("host/postgres", &[]),
    (
        "host/worker",
        &[
            "engine",
            "host/store",
            "host/traces",
            "host/egress",
            "host/secrets",
            "host/sandbox",
            "plugins/native",
        ],
    ),
    (
        "api",
        &["engine", "host/store", "host/egress", "host/secrets", "host/sandbox", "plugins/native"],
    ),
    (
        "cli",
        &[
            "engine",
            "host/store",
            "host/traces",
            "host/egress",
            "host/secrets",
            "host/sandbox",
            "plugins/native",
            "host/postgres",
            "host/worker",
            "api",
        ],
    ),
    ("host/testing", &["host/postgres"]),
    ("simulation", &["engine"]),
    ("bench", &["host/postgres", "host/testing"]),
    ("xtask", &[]),
    ("book", &[]),
];

pub(super) fn check(repository: &Repository) -> Result<Vec<Finding>> {
    let workspace = manifest(repository, "Cargo.toml")?;
    let places = places(&workspace);
    let mut findings = Vec::new();
    for member in members(&workspace) {
        let path = format!("{member}/Cargo.toml");
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == member) else {
            findings.push(Finding::new(
                "arrows",
                &path,
                0,
                "has no place in the house: add it to xtask/src/tidy/arrows.rs",
            ));
            continue;
        };
        for dependency in shipped_dependencies(&manifest(repository, &path)?) {
            if let Some(place) = places.get(dependency.as_str())
                && !allowed.contains(&place.as_str())
            {
                let message = format!("`{member}` must not depend on `{place}`");
                findings.push(Finding::new("arrows", &path, 0, message));
            }
        }
    }
    Ok(findings)
}

/// The names of the crates that end up in what is built, from every table of a manifest.
pub(super) fn shipped_dependencies(manifest: &Table) -> Vec<String> {
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    tables
        .into_iter()
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|kind| table.get(kind)))
        .filter_map(|dependencies| dependencies?.as_table())
        .flat_map(|dependencies| dependencies.keys().cloned())
        .collect()
}

pub(super) fn members(workspace: &Table) -> Vec<String> {
    let members = workspace.get("workspace").and_then(|workspace| workspace.get("members"));
    let members = members.and_then(toml::Value::as_array).into_iter().flatten();
    members.filter_map(toml::Value::as_str).map(str::to_owned).collect()
}

pub(super) fn manifest(repository: &Repository, path: &str) -> Result<Table> {
    let file = repository.file(path).with_context(|| format!("{path} is missing"))?;
    file.text.parse().with_context(|| format!("cannot read {path}"))
}

/// The folder behind each name that members know each other by.
fn places(workspace: &Table) -> BTreeMap<String, String> {
    let dependencies = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table);
    dependencies
        .into_iter()
        .flatten()
        .filter_map(|(name, dependency)| {
            Some((name.clone(), dependency.get("path")?.as_str()?.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_for(member: &str, manifest: &str) -> Vec<Finding> {
        let workspace = format!(
            "[workspace]\nmembers = [\"{member}\"]\n[workspace.dependencies]\n\
             store = {{ path = \"host/store\" }}\nworker = {{ path = \"host/worker\" }}\nserde = \"1\"\n"
        );
        let path = format!("{member}/Cargo.toml");
        check(&Repository::of(&[("Cargo.toml", &workspace), (&path, manifest)])).unwrap()
    }

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_found() {
        let needs_worker = "[dependencies]\nworker.workspace = true\nserde.workspace = true\n";
        assert_eq!(findings_for("cli", needs_worker), []);
        assert_eq!(findings_for("api", needs_worker).len(), 1);
        assert_eq!(findings_for("engine", "[dependencies]\nstore.workspace = true\n").len(), 1);
    }

    #[test]
    fn tables_for_one_target_count_and_those_for_tests_do_not() {
        let on_unix = "[target.'cfg(unix)'.dependencies]\nworker.workspace = true\n";
        assert_eq!(findings_for("api", on_unix).len(), 1);
        assert_eq!(findings_for("api", "[dev-dependencies]\nworker.workspace = true\n"), []);
    }

    #[test]
    fn a_crate_without_a_place_in_the_house_is_found() {
        assert_eq!(findings_for("shed", "[dependencies]\n").len(), 1);
    }
}
