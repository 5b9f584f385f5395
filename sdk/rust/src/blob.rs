//! Payloads that are too large for JSON: kept by the host, named in outputs by reference.

use std::io::{self, Read, Write};

pub use crate::bindings::stateflow::plugin::blob::Blob;
use crate::bindings::stateflow::plugin::blob::Writer as HostWriter;

/// The most bytes that go over at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Keeps bytes.
pub fn create(bytes: &[u8]) -> io::Result<Blob> {
    let mut writer = Writer::new();
    writer.write_all(bytes)?;
    writer.finish()
}

/// What a reference stands for: `blob:sha256:…`, from the config or from another step's output.
pub fn open(reference: &str) -> io::Result<Blob> {
    Blob::open(reference).map_err(io::Error::other)
}

/// Writes a blob, part by part.
#[derive(Debug)]
pub struct Writer(HostWriter);

impl Writer {
    /// An empty one.
    pub fn new() -> Self {
        Self(HostWriter::new())
    }

    /// Keeps what was written.
    pub fn finish(self) -> io::Result<Blob> {
        self.0.finish().map_err(io::Error::other)
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(PIECE_BYTES)];
        self.0.write(part).map_err(io::Error::other)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a blob from its beginning.
#[derive(Debug)]
pub struct Reader {
    blob: Blob,
    offset: u64,
}

impl Reader {
    /// A reader of a blob.
    pub fn new(blob: Blob) -> Self {
        Self { blob, offset: 0 }
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = u32::try_from(into.len().min(PIECE_BYTES)).unwrap_or(u32::MAX);
        let part = self.blob.read(self.offset, length).map_err(io::Error::other)?;
        into[..part.len()].copy_from_slice(&part);
        self.offset += part.len() as u64;
        Ok(part.len())
    }
}
