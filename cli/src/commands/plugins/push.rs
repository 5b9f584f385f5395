//! `plugin push`: the upload, and its receipt.

use std::io::Cursor;
use std::process::ExitCode;

use anyhow::{Context, bail};
use futures::TryStreamExt;
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::manifest::ManifestFile;
use crate::arguments::PushOptions;
use crate::client::{Client, problem};
use crate::output::{self, Progress};

/// What is sent at once, in bytes.
const PIECE: usize = 64 << 10;

/// Uploads a plugin.
pub(super) async fn push(
    options: PushOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let module = std::fs::read(&options.file)
        .with_context(|| format!("cannot read {}", options.file.display()))?;
    let progress = Progress::of_bytes(module.len() as u64, "uploading");
    let mut form = Form::new().part("module", counted(module, &progress));
    if let Some(manifest) = claims(options)? {
        form = form.text("manifest", serde_json::to_string(&manifest)?);
    }
    let (status, answer) = client.post_form("/api/plugins", form).await?;
    drop(progress);
    if !status.is_success() {
        bail!("{}", problem(status, &answer));
    }
    if as_json {
        output::json(&answer)?;
    } else {
        receipt(&answer, status.as_u16() == 200)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The module in pieces, so that one sees how much of it has gone.
fn counted(module: Vec<u8>, progress: &Progress) -> Part {
    let length = module.len() as u64;
    let (count, say) = (progress.counter(), progress.sayer());
    let mut sent = 0;
    let pieces = ReaderStream::with_capacity(Cursor::new(module), PIECE).inspect_ok(move |piece| {
        count(piece.len() as u64);
        sent += piece.len() as u64;
        if sent == length {
            say("the server compiles it".to_owned());
        }
    });
    Part::stream_with_length(Body::wrap_stream(pieces), length)
}

/// What the uploader says: on the command line or else in a manifest.
fn claims(options: PushOptions) -> anyhow::Result<Option<ManifestFile>> {
    if options.name.is_none() && options.version.is_none() {
        return ManifestFile::about(&options.file, options.manifest.as_deref());
    }
    let (name, version) = (options.name, options.version);
    Ok(Some(ManifestFile { name, version, ..ManifestFile::default() }))
}

fn receipt(plugin: &Value, again: bool) -> anyhow::Result<()> {
    let text = |field: &str| plugin[field].as_str().unwrap_or_default();
    let again = if again { " (already there)" } else { "" };
    output::line(format!("{}@{} {}{again}", text("name"), text("version"), text("digest")))?;
    for (label, value) in facts(plugin) {
        output::line(format!("  {label:<13}{value}"))?;
    }
    for sentence in waiting(plugin) {
        output::note(&sentence);
    }
    Ok(())
}

/// What a person wants to know of a version, in order.
pub(super) fn facts(plugin: &Value) -> Vec<(&'static str, String)> {
    let (sizes, compile, limits) = (&plugin["sizes"], &plugin["compile"], &plugin["limits"]);
    vec![
        ("status", plain(&plugin["status"])),
        ("kind", plain(&plugin["kind"])),
        ("capabilities", listed(&plugin["capabilities"])),
        ("size", format!("{} bytes, {} as a component", sizes["upload"], sizes["component"])),
        (
            "compiled",
            format!(
                "{} ms, {} bytes, tier {}",
                compile["ms"],
                compile["bytes"],
                plain(&compile["tier"])
            ),
        ),
        (
            "limits",
            format!(
                "{} fuel, {} MiB, {} ms, unless a step says otherwise",
                limits["fuel"], limits["memoryMb"], limits["timeoutMs"]
            ),
        ),
    ]
}

/// What has to happen before a version is used, each with the command that does it.
pub(super) fn waiting(plugin: &Value) -> Vec<String> {
    let subject = format!("{}@{}", plain(&plugin["name"]), plain(&plugin["version"]));
    let waits = &plugin["waitsFor"];
    let mut sentences = Vec::new();
    if waits["approval"].as_array().is_some_and(|it| !it.is_empty()) {
        let asked = listed(&waits["approval"]);
        sentences.push(format!("waits for somebody to approve: {asked}"));
        sentences.push(format!("  stateflow plugin approve {subject} --by WHO"));
    }
    if let Some(count) = waits["signatures"].as_u64() {
        sentences.push(format!("waits for {count} more signature(s)"));
        sentences.push(format!("  stateflow plugin sign {subject} --key FILE --key-id ID"));
    }
    sentences
}

/// A text without its quotes, everything else as JSON.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A list in a line.
pub(super) fn listed(values: &Value) -> String {
    let texts: Vec<_> = values.as_array().into_iter().flatten().map(plain).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
