//! Rule `rooms`: some libraries belong to one crate. SQL only in `host/store`, wasmtime only in `host/sandbox`, axum
//! only in `api`, clap only in `cli`. A crate that does not depend on a library cannot name it. `bench` looks at the
//! product from outside, is never shipped, and may use what it likes.

use anyhow::Result;

use super::Finding;
use super::arrows::{manifest, members, shipped_dependencies};
use crate::repository::Repository;

const HOMES: [(&str, &str); 9] = [
    ("sqlx", "host/store"),
    ("wasmtime", "host/sandbox"),
    ("wasmtime-wasi", "host/sandbox"),
    ("wit-component", "host/sandbox"),
    ("wasmparser", "host/sandbox"),
    ("axum", "api"),
    ("tower-http", "api"),
    ("utoipa", "api"),
    ("clap", "cli"),
];

/// Looks at the product from outside.
const OUTSIDE: &str = "bench";

pub(super) fn check(repository: &Repository) -> Result<Vec<Finding>> {
    let workspace = manifest(repository, "Cargo.toml")?;
    let mut findings = Vec::new();
    for member in members(&workspace).into_iter().filter(|member| member != OUTSIDE) {
        let path = format!("{member}/Cargo.toml");
        let dependencies = shipped_dependencies(&manifest(repository, &path)?);
        for (library, home) in HOMES {
            if member != home && dependencies.iter().any(|dependency| dependency == library) {
                let message = format!("depends on `{library}`, which belongs to `{home}`");
                findings.push(Finding::new("rooms", &path, 0, message));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_outside_its_room_is_found_unless_it_is_for_tests() {
        let workspace = "[workspace]\nmembers = [\"host/store\", \"api\", \"cli\"]\n";
        let sql = "[dependencies]\nsqlx.workspace = true\n";
        let repository = Repository::of(&[
            ("Cargo.toml", workspace),
            ("host/store/Cargo.toml", sql),
            ("api/Cargo.toml", sql),
            ("cli/Cargo.toml", "[dev-dependencies]\nsqlx = \"1\"\n"),
        ]);
        let findings = check(&repository).unwrap();
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "api/Cargo.toml");
    }
}
