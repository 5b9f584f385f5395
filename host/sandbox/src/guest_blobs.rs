//! Blobs as guests have them: read in parts, written in parts, nothing of them held by the host.

use std::sync::Arc;

use engine::blob::{BlobReference, PIECE_BYTES};
use wasmtime::component::Resource;

use crate::{
    bindings::step::stateflow::plugin::blob,
    blobs::{BlobSink, Blobs, KeptBlob},
    guest::Guest,
    host_calls::Import,
};

/// Blobs that an attempt may be writing at the same time: each may hold a piece of [`PIECE_BYTES`].
const MAX_WRITERS: usize = 4;

/// Bytes that an attempt may write in all its blobs.
const MAX_WRITTEN: u64 = 256 << 20;

/// No form of a secret is longer: twice the longest secret, in hex.
const MAX_FORM_BYTES: usize = 128 << 10;

/// What an attempt has of blobs.
#[derive(Default)]
pub(crate) struct GuestBlobs {
    pub(crate) kept: Option<Arc<dyn Blobs>>,
    writers: usize,
    written: u64,
}

/// A blob that a guest is writing.
#[expect(unreachable_pub, reason = "the generated bindings re-export it within the crate")]
pub struct Writing {
    /// The end of what was written, as far as a secret may have begun in it.
    tail: Vec<u8>,
    /// None once it is finished, or cannot be any more.
    sink: Option<Box<dyn BlobSink>>,
    /// Why it never was one.
    refusal: Option<String>,
}

impl GuestBlobs {
    fn kept(&self) -> Result<&Arc<dyn Blobs>, String> {
        self.kept.as_ref().ok_or_else(|| "there are no blobs here".to_owned())
    }

    fn begin(&mut self) -> Result<Box<dyn BlobSink>, String> {
        if self.writers >= MAX_WRITERS {
            return Err(format!(
                "{MAX_WRITERS} blobs may be written at the same time: finish one first"
            ));
        }
        let sink = self.kept()?.begin();
        self.writers += 1;
        Ok(sink)
    }

    fn count(&mut self, bytes: usize) -> Result<(), String> {
        self.written += bytes as u64;
        if self.written > MAX_WRITTEN {
            return Err(format!("an attempt may write {MAX_WRITTEN} bytes of blobs"));
        }
        Ok(())
    }
}

impl Guest {
    /// What is written now, with what it may continue; empty where nobody has secrets.
    fn over_the_seam(&self, writer: &Resource<Writing>, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
        if !self.has_secrets() {
            return Ok(Vec::new());
        }
        let tail = &self.table.get(writer)?.tail;
        Ok([tail, bytes].concat())
    }
}

impl blob::Host for Guest {}

impl blob::HostBlob for Guest {
    async fn open(
        &mut self,
        reference: String,
    ) -> wasmtime::Result<Result<Resource<KeptBlob>, String>> {
        self.calls.count(Import::Blob);
        let asked = reference
            .parse::<BlobReference>()
            .map_err(|error| error.to_string())
            .and_then(|reference| Ok(self.blobs.kept()?.open(reference)));
        Ok(match asked {
            Ok(opening) => match opening.await {
                Ok(blob) => Ok(self.table.push(blob)?),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        })
    }

    async fn reference(&mut self, blob: Resource<KeptBlob>) -> wasmtime::Result<String> {
        self.calls.count(Import::Blob);
        Ok(self.table.get(&blob)?.reference.to_string())
    }

    async fn size(&mut self, blob: Resource<KeptBlob>) -> wasmtime::Result<u64> {
        self.calls.count(Import::Blob);
        Ok(self.table.get(&blob)?.bytes)
    }

    async fn read(
        &mut self,
        blob: Resource<KeptBlob>,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        self.calls.count(Import::Blob);
        let blob = *self.table.get(&blob)?;
        let kept = match self.blobs.kept() {
            Ok(kept) => Arc::clone(kept),
            Err(error) => return Ok(Err(error)),
        };
        let left = blob.bytes.saturating_sub(offset).min(PIECE_BYTES as u64);
        let wanted = usize::try_from(left).unwrap_or(PIECE_BYTES).min(length as usize);
        let mut bytes = Vec::new();
        while bytes.len() < wanted {
            let most = u32::try_from(wanted - bytes.len()).unwrap_or(u32::MAX);
            match kept.read(blob.id, offset + bytes.len() as u64, most).await {
                Ok(part) if part.is_empty() => {
                    return Ok(Err("the blob was deleted".to_owned()));
                }
                Ok(part) => bytes.extend(part),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(bytes))
    }

    async fn drop(&mut self, blob: Resource<KeptBlob>) -> wasmtime::Result<()> {
        self.table.delete(blob)?;
        Ok(())
    }
}

impl blob::HostWriter for Guest {
    async fn new(&mut self) -> wasmtime::Result<Resource<Writing>> {
        self.calls.count(Import::Blob);
        let writing = match self.blobs.begin() {
            Ok(sink) => Writing { sink: Some(sink), refusal: None, tail: Vec::new() },
            Err(refusal) => Writing { sink: None, refusal: Some(refusal), tail: Vec::new() },
        };
        Ok(self.table.push(writing)?)
    }

    async fn write(
        &mut self,
        writer: Resource<Writing>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), String>> {
        self.calls.count(Import::Blob);
        if bytes.len() > PIECE_BYTES {
            return Ok(Err(format!("at most {PIECE_BYTES} bytes are written at a time")));
        }
        if let Err(error) = self.blobs.count(bytes.len()) {
            return Ok(Err(error));
        }
        let seen = self.over_the_seam(&writer, &bytes)?;
        if self.knows_secret(&seen) {
            return Ok(Err("a blob does not hold secrets: leave it out".to_owned()));
        }
        let writing = self.table.get_mut(&writer)?;
        let from = seen.len().saturating_sub(MAX_FORM_BYTES);
        writing.tail = seen[from..].to_vec();
        let Some(sink) = &mut writing.sink else { return Ok(Err(writing.gone())) };
        let written = sink.write(bytes).await;
        if let Err(error) = &written {
            writing.refusal = Some(error.clone());
            writing.sink = None;
            self.blobs.writers -= 1;
        }
        Ok(written)
    }

    async fn finish(
        &mut self,
        writer: Resource<Writing>,
    ) -> wasmtime::Result<Result<Resource<KeptBlob>, String>> {
        self.calls.count(Import::Blob);
        let writing = self.table.get_mut(&writer)?;
        let Some(sink) = writing.sink.take() else { return Ok(Err(writing.gone())) };
        self.blobs.writers -= 1;
        Ok(match sink.finish().await {
            Ok(blob) => Ok(self.table.push(blob)?),
            Err(error) => Err(error),
        })
    }

    async fn drop(&mut self, writer: Resource<Writing>) -> wasmtime::Result<()> {
        if self.table.delete(writer)?.sink.is_some() {
            self.blobs.writers -= 1;
        }
        Ok(())
    }
}

impl Writing {
    fn gone(&self) -> String {
        self.refusal.clone().unwrap_or_else(|| "the blob is finished".to_owned())
    }
}
