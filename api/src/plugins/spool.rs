//! An upload on its way in: to disk, with its size bounded and its digest taken, so that a slow sender holds no memory.

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::error::ApiError;

/// An upload that is still coming.
pub(super) struct Spool {
    file: File,
    hasher: Sha256,
    bytes: usize,
    most: usize,
}

/// An upload that has come. The file is gone with it.
pub(super) struct Spooled {
    file: File,
    pub(super) digest: String,
    pub(super) bytes: usize,
}

impl Spool {
    pub(super) fn new(most: usize) -> Result<Self, ApiError> {
        let file = tempfile::tempfile().map_err(failed)?;
        Ok(Self { file: File::from_std(file), hasher: Sha256::new(), bytes: 0, most })
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        self.bytes += chunk.len();
        if self.bytes > self.most {
            return Err(ApiError::too_large("a plugin", self.most));
        }
        self.hasher.update(chunk);
        self.file.write_all(chunk).await.map_err(failed)
    }

    pub(super) async fn finish(mut self) -> Result<Spooled, ApiError> {
        self.file.flush().await.map_err(failed)?;
        let digest = format!("sha256:{}", hex::encode(self.hasher.finalize()));
        Ok(Spooled { file: self.file, digest, bytes: self.bytes })
    }
}

impl Spooled {
    /// The bytes, in memory.
    pub(super) async fn read(mut self) -> Result<Vec<u8>, ApiError> {
        let mut bytes = Vec::with_capacity(self.bytes);
        self.file.rewind().await.map_err(failed)?;
        self.file.read_to_end(&mut bytes).await.map_err(failed)?;
        Ok(bytes)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn failed(error: std::io::Error) -> ApiError {
    tracing::error!(%error, "an upload could not be kept on disk");
    ApiError::internal()
}
