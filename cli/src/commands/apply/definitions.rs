//! Definitions as they are found in files, and what is wrong with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Client, problem};
use crate::fault;
use crate::output::{self, Progress};

/// Definitions that are checked at once.
const AT_ONCE: usize = 8;
/// Beside plugins, and no definition.
const MANIFEST: &str = "stateflow.plugin.json";
/// What file names cannot have, here or elsewhere.
const NOT_IN_NAMES: &AsciiSet = &CONTROLS
    .add(b'/')
    .add(b'\\')
    .add(b':')
    .add(b'*')
    .add(b'?')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'|')
    .add(b'%');

/// A definition in a file.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) file: PathBuf,
    /// Empty if it has none.
    pub(super) name: String,
    /// As it stands in the file, so that faults have their lines.
    pub(super) text: String,
    pub(super) value: Value,
}

impl Definition {
    fn new(file: &Path, text: String, value: Value) -> Self {
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        Self { file: file.to_owned(), name, text, value }
    }
}

/// The definitions in a directory and below, in the order of their paths.
pub(super) fn in_directory(directory: &Path) -> anyhow::Result<Vec<Definition>> {
    let mut files = Vec::new();
    find(directory, &mut files)?;
    files.sort();
    files.iter().map(|file| read(file).map(|text| one(file, text))).collect()
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", directory.display());
    for entry in std::fs::read_dir(directory).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == MANIFEST {
            continue;
        }
        // Links to directories could lead round in circles.
        if entry.file_type().with_context(cannot)?.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|it| it == "json") {
            files.push(path);
        }
    }
    Ok(())
}

/// The definitions in a file: one, or an array of them.
pub(super) fn in_file(file: &Path) -> anyhow::Result<Vec<Definition>> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        read(file)?
    };
    match serde_json::from_str(&text) {
        Ok(Value::Array(values)) => {
            let each = values.into_iter();
            Ok(each.map(|value| Definition::new(file, format!("{value:#}"), value)).collect())
        }
        _ => Ok(vec![one(file, text)]),
    }
}

/// What is no JSON is for the server to say, with its line.
fn one(file: &Path, text: String) -> Definition {
    let value = serde_json::from_str(&text).unwrap_or_default();
    Definition::new(file, text, value)
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// A name as that of a file.
pub(super) fn file_name(workflow: &str) -> String {
    let plain = utf8_percent_encode(workflow, NOT_IN_NAMES).to_string();
    // A name that begins with a dot would be hidden from `apply`.
    let plain = plain.strip_prefix('.').map_or(plain.clone(), |rest| format!("%2E{rest}"));
    format!("{plain}.json")
}

/// The faults of all definitions, by file: those that the server finds, and names that two have.
pub(super) async fn faults(
    wanted: &[Definition],
    client: &Client,
    progress: &Progress,
) -> anyhow::Result<Vec<Value>> {
    let found = futures::stream::iter(wanted)
        .map(async |it| check(it, client).await)
        .buffered(AT_ONCE)
        .enumerate()
        .map(|(done, verdict)| {
            progress.reach(done as u64 + 1);
            verdict
        });
    let found: Vec<Vec<Value>> = found.try_collect().await?;
    let mut first: BTreeMap<&str, &Path> = BTreeMap::new();
    let mut faults = Vec::new();
    for (it, mut diagnostics) in wanted.iter().zip(found) {
        match first.get(it.name.as_str()) {
            Some(other) if !it.name.is_empty() => diagnostics.push(json!({
                "pointer": "/name", "code": "DUPLICATE_NAME",
                "message": format!("{} has a workflow `{}` too", other.display(), it.name),
            })),
            _ => drop(first.insert(&it.name, &it.file)),
        }
        if !diagnostics.is_empty() {
            faults.push(json!({ "file": it.file, "name": it.name, "diagnostics": diagnostics }));
        }
    }
    Ok(faults)
}

async fn check(it: &Definition, client: &Client) -> anyhow::Result<Vec<Value>> {
    let body = it.text.clone().into_bytes();
    let path = "/api/workflows/validate";
    let (status, answer) = client.exchange(Method::POST, path, "application/json", body).await?;
    match (status, &answer["diagnostics"]) {
        (_, Value::Array(diagnostics)) => Ok(diagnostics.clone()),
        // Too large to be looked at.
        (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::BAD_REQUEST, _) => Ok(vec![json!({
            "pointer": "", "code": answer["code"], "message": answer["detail"],
        })]),
        _ => bail!("{}", problem(status, &answer)),
    }
}

/// Says all of them.
pub(super) fn report(faults: &[Value]) {
    for fault in faults {
        let file = fault["file"].as_str().unwrap_or_default();
        for diagnostic in fault["diagnostics"].as_array().into_iter().flatten() {
            output::note(&format!("{file}:{}", fault::text(diagnostic)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_no_other_place() {
        for (name, file) in [
            ("order", "order.json"),
            ("a/b", "a%2Fb.json"),
            ("../x", "%2E.%2Fx.json"),
            ("..", "%2E..json"),
            ("100%", "100%25.json"),
        ] {
            assert_eq!(file_name(name), file);
        }
    }

    #[test]
    fn a_directory_is_read_with_those_below_it() {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["b.json", "a/c.json", "a/stateflow.plugin.json", ".git/d.json", ".e.json", "f.txt"]
        {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, r#"{ "name": "x" }"#).unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        let found = in_directory(folder.path()).unwrap();
        let found: Vec<_> =
            found.iter().map(|it| it.file.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(found, [Path::new("a/c.json"), Path::new("b.json")]);
    }
}
