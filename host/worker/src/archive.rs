//! What is deleted, kept as files: a folder for each part of the history, in it a file of JSON lines for each table and a
//! manifest. A folder appears under its name when all of it is on the disk, or not at all.
//!
//! ```text
//! <dir>/executions-20270104/manifest.json           counts and SHA-256 of the files
//!                           executions.jsonl.gz     a row a line, columns by their names
//!                           attempts.jsonl.gz …
//! ```

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::Store;
use store::retention::{ArchiveTable, Kind, Rows};
use tokio::sync::mpsc;

/// Lines are handed to the writing thread in pieces of this size.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that may wait for the disk.
const MAX_PIECES: usize = 4;

/// Where archives are kept.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

/// An archive that is complete.
#[derive(Debug)]
pub struct Archived {
    /// Its folder.
    pub folder: PathBuf,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    format: u32,
    schema: String,
    from: uuid::Uuid,
    to: uuid::Uuid,
    made_at: DateTime<Utc>,
    files: &'a [Entry],
}

#[derive(Debug, Serialize)]
struct Entry {
    table: &'static str,
    file: String,
    rows: u64,
    bytes: u64,
    sha256: String,
}

impl Archive {
    /// In this directory, which is made when it is needed.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Writes rows under a name, or the name with a number if there is such a folder.
    pub async fn write(
        &self,
        store: &Store,
        kind: Kind,
        name: &str,
        rows: Rows<'_>,
    ) -> anyhow::Result<Archived> {
        let cannot = || format!("cannot archive into {}", self.directory.display());
        fs::create_dir_all(&self.directory).with_context(cannot)?;
        let unfinished =
            tempfile::Builder::new().prefix(".unfinished-").tempdir_in(&self.directory);
        let unfinished = unfinished.with_context(cannot)?;
        let mut files = Vec::new();
        for table in ArchiveTable::of(kind) {
            files.push(write_table(store, *table, rows, unfinished.path()).await?);
        }
        let manifest = Manifest {
            format: 1,
            schema: store.schema().to_string(),
            from: rows.from,
            to: rows.to,
            made_at: Utc::now(),
            files: &files,
        };
        let mut file = File::create_new(unfinished.path().join("manifest.json"))?;
        file.write_all(&serde_json::to_vec_pretty(&manifest)?)?;
        file.sync_all()?;
        File::open(unfinished.path())?.sync_all()?;
        let folder = self.put_in_place(unfinished, name).with_context(cannot)?;
        Ok(Archived { folder })
    }

    fn put_in_place(&self, unfinished: tempfile::TempDir, name: &str) -> io::Result<PathBuf> {
        let names = (1..).map(|number| match number {
            1 => name.to_owned(),
            _ => format!("{name}.{number}"),
        });
        // Whoever writes here has the turn at deleting: nobody takes the name in between.
        let free = names.map(|name| self.directory.join(name)).find(|folder| !folder.exists());
        let folder = free.expect("there are more names than folders");
        fs::rename(unfinished.keep(), &folder)?;
        File::open(&self.directory)?.sync_all()?;
        Ok(folder)
    }
}

impl Archived {
    /// Takes it away again: what is in it was not deleted.
    pub fn discard(self) -> io::Result<()> {
        fs::remove_dir_all(self.folder)
    }
}

async fn write_table(
    store: &Store,
    table: ArchiveTable,
    rows: Rows<'_>,
    folder: &Path,
) -> anyhow::Result<Entry> {
    let file = format!("{}.jsonl.gz", table.name());
    let (pieces, waiting) = mpsc::channel::<Vec<u8>>(MAX_PIECES);
    let path = folder.join(&file);
    let thread = tokio::task::spawn_blocking(move || write_pieces(&path, waiting));
    let mut lines = store.archive_rows(table, rows);
    let (mut piece, mut count) = (Vec::with_capacity(PIECE_BYTES), 0);
    while let Some(line) = lines.try_next().await? {
        piece.extend_from_slice(line.as_bytes());
        piece.push(b'\n');
        count += 1;
        if piece.len() >= PIECE_BYTES && pieces.send(std::mem::take(&mut piece)).await.is_err() {
            // The thread has failed, and says why below.
            break;
        }
    }
    drop(pieces.send(piece).await);
    drop(pieces);
    let (bytes, sha256) = thread
        .await
        .context("the thread that archives panicked")?
        .with_context(|| format!("cannot write the archive's {file}"))?;
    Ok(Entry { table: table.name(), file, rows: count, bytes, sha256 })
}

/// Writes what comes, to the disk. Returns the file's size and its SHA-256.
fn write_pieces(path: &Path, mut pieces: mpsc::Receiver<Vec<u8>>) -> io::Result<(u64, String)> {
    let hashed = Hashed { file: File::create_new(path)?, hasher: Sha256::new(), bytes: 0 };
    let mut packed = GzEncoder::new(BufWriter::new(hashed), Compression::fast());
    while let Some(piece) = pieces.blocking_recv() {
        packed.write_all(&piece)?;
    }
    let hashed = packed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    hashed.file.sync_all()?;
    Ok((hashed.bytes, hex::encode(hashed.hasher.finalize())))
}

/// A file, and the digest of what went into it.
struct Hashed {
    file: File,
    hasher: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
