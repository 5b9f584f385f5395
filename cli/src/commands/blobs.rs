//! `blob`: kept, fetched and deleted. Neither side holds a whole one in memory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use engine::blob::BlobReference;
use futures::TryStreamExt;
use reqwest::Body;
use tokio::fs::File;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::io::ReaderStream;

use super::executions::text;
use crate::arguments::BlobCommand;
use crate::client::Client;
use crate::output::{self, Usage};

/// Carries out one of them.
pub(crate) async fn blob(
    command: BlobCommand,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        BlobCommand::Put { file } => put(&file, client, as_json).await,
        BlobCommand::Get { reference, output } => get(&reference, output, client).await,
        BlobCommand::Delete { reference } => {
            client.delete(&path(&reference)?).await?;
            output::note(&format!("{reference} is deleted"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn put(file: &Path, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let body = if file == Path::new("-") {
        Body::wrap_stream(ReaderStream::new(tokio::io::stdin()))
    } else {
        let opened = File::open(file).await;
        let opened = opened.with_context(|| format!("cannot read {}", file.display()))?;
        Body::wrap_stream(ReaderStream::new(opened))
    };
    let blob = client.send_body("/api/blobs", body).await?;
    if as_json {
        output::json(&blob)?;
    } else {
        output::line(text(&blob["reference"]))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn get(reference: &str, to: Option<PathBuf>, client: &Client) -> anyhow::Result<ExitCode> {
    let response = client.stream(&path(reference)?).await?;
    let mut to: Box<dyn AsyncWrite + Unpin> = match &to {
        None => Box::new(tokio::io::stdout()),
        Some(file) => {
            let created = File::create(file).await;
            Box::new(created.with_context(|| format!("cannot write {}", file.display()))?)
        }
    };
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.try_next().await.context("the blob broke off")? {
        to.write_all(&piece).await?;
    }
    to.flush().await?;
    Ok(ExitCode::SUCCESS)
}

fn path(reference: &str) -> anyhow::Result<String> {
    let reference: BlobReference =
        reference.parse().map_err(|error| Usage(format!("`{reference}`: {error}")))?;
    Ok(format!("/api/blobs/{reference}"))
}
