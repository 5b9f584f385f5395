//! Blobs: written piece by piece, found by their digest, kept once per namespace.

use std::time::Duration;

use engine::blob::{BlobReference, MAX_BLOB_BYTES, PIECE_BYTES};
use sha2::{Digest, Sha256};
use sqlx::error::ErrorKind;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::{Store, StoreError};

/// A blob that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Its id.
    pub id: Uuid,
    /// What stands for it.
    pub reference: BlobReference,
    /// How large it is.
    pub bytes: u64,
}

/// Why bytes are not kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The blob is larger than [`MAX_BLOB_BYTES`].
    #[error("a blob has {MAX_BLOB_BYTES} bytes at most")]
    TooLarge,
    /// The namespace has no room left.
    #[error("the namespace's blobs may take {quota} bytes, and there is no room for more")]
    Full {
        /// The most bytes of a namespace.
        quota: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Begins a blob, on a tokio runtime. Without [`BlobWriter::finish`] it is nobody's, and goes.
    pub fn write_blob(&self, namespace_id: i32, quota: u64) -> BlobWriter {
        BlobWriter {
            store: self.clone(),
            runtime: Handle::current(),
            loose: false,
            namespace_id,
            quota,
            id: Uuid::now_v7(),
            hasher: Sha256::new(),
            bytes: 0,
            pieces: 0,
            piece: Vec::new(),
        }
    }

    /// The blob that a reference stands for.
    pub async fn blob(
        &self,
        namespace_id: i32,
        reference: BlobReference,
    ) -> Result<Blob, StoreError> {
        let row = sqlx::query!(
            "select id, bytes from blobs where namespace_id = $1 and digest = $2",
            namespace_id,
            reference.digest(),
        )
        .fetch_optional(&self.pool)
        .await?;
        let row = row.ok_or_else(|| StoreError::not_found("blob", reference.to_string()))?;
        Ok(Blob { id: row.id, reference, bytes: u64::try_from(row.bytes).unwrap_or(0) })
    }

    /// Bytes of a blob from an offset on: so many, or what there is of them in the piece.
    pub async fn read_blob(
        &self,
        blob: Uuid,
        offset: u64,
        most: u32,
    ) -> Result<Vec<u8>, StoreError> {
        let number = i32::try_from(offset / PIECE_BYTES as u64).unwrap_or(i32::MAX);
        let within = i32::try_from(offset % PIECE_BYTES as u64).unwrap_or(0);
        let row = sqlx::query!(
            r#"select substring(piece from $3::integer + 1 for $4) as "part!" from blob_pieces
               where blob_id = $1 and number = $2"#,
            blob,
            number,
            within,
            i32::try_from(PIECE_BYTES.min(most as usize)).unwrap_or(i32::MAX),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| row.part).unwrap_or_default())
    }

    /// Deletes a blob. Whatever refers to it refers to nothing then.
    pub async fn delete_blob(
        &self,
        namespace_id: i32,
        reference: BlobReference,
    ) -> Result<(), StoreError> {
        let blob = self.blob(namespace_id, reference).await?;
        self.drop_blob(blob.id).await
    }

    /// Somebody has sent it again, and is about to refer to it: what retention noted before does not count.
    async fn want_blob(
        &self,
        namespace_id: i32,
        reference: BlobReference,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update blobs set created_at = now(), unreferenced_since = null
             where namespace_id = $1 and digest = $2",
            namespace_id,
            reference.digest(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    async fn drop_blob(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query!(
            "with gone as (delete from blobs where id = $1 returning namespace_id, bytes)
             update namespaces n set blob_bytes = n.blob_bytes - gone.bytes from gone where n.id = gone.namespace_id",
            id,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes what was begun longer ago than that and has not been finished. Returns how many they were.
    pub async fn drop_unfinished_blobs(&self, older: Duration) -> Result<u64, StoreError> {
        let done = sqlx::query_scalar!(
            r#"with gone as (
                   delete from blobs
                   where digest is null and created_at < now() - make_interval(secs => $1)
                   returning namespace_id, bytes),
               sums as (
                   select namespace_id, sum(bytes)::bigint as bytes, count(*) as blobs
                   from gone group by namespace_id),
               freed as (
                   update namespaces n set blob_bytes = n.blob_bytes - sums.bytes
                   from sums where n.id = sums.namespace_id)
               select coalesce(sum(blobs), 0)::bigint as "blobs!" from sums"#,
            older.as_secs_f64(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(done).unwrap_or(0))
    }
}

/// A blob that is being written: it holds one piece in memory. If it is dropped before it is finished, what was written
/// is deleted on the runtime that it was begun on.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    runtime: Handle,
    /// Something of it may be stored, and nothing but this writer knows it.
    loose: bool,
    namespace_id: i32,
    quota: u64,
    id: Uuid,
    hasher: Sha256,
    bytes: u64,
    pieces: i32,
    piece: Vec<u8>,
}

impl BlobWriter {
    /// How much has been written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends bytes. After an error nothing is left of the blob, and it cannot be finished.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        let written = self.append(bytes).await;
        if written.is_err() {
            self.discard().await?;
        }
        written
    }

    /// Deletes what was written.
    pub async fn discard(&mut self) -> Result<(), BlobError> {
        (self.bytes, self.pieces) = (u64::MAX, 0);
        self.store.drop_blob(self.id).await?;
        self.loose = false;
        Ok(())
    }

    async fn append(&mut self, mut bytes: &[u8]) -> Result<(), BlobError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > MAX_BLOB_BYTES {
            return Err(BlobError::TooLarge);
        }
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.piece.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE_BYTES {
                self.store_piece().await?;
            }
        }
        Ok(())
    }

    /// One statement: the blob's row with the first piece, room in the quota, the piece.
    async fn store_piece(&mut self) -> Result<(), BlobError> {
        let piece = std::mem::take(&mut self.piece);
        self.loose = true;
        let stored = sqlx::query!(
            "with room as (
                 update namespaces set blob_bytes = blob_bytes + length($3::bytea)
                 where id = $2 and blob_bytes + length($3::bytea) <= $5 returning id),
             blob as (
                 insert into blobs (id, namespace_id, bytes) select $1, id, length($3::bytea) from room
                 on conflict (id) do update set bytes = blobs.bytes + excluded.bytes returning id)
             insert into blob_pieces (blob_id, number, piece) select id, $4, $3 from blob",
            self.id,
            self.namespace_id,
            &piece,
            self.pieces,
            i64::try_from(self.quota).unwrap_or(i64::MAX),
        )
        .execute(&self.store.pool)
        .await
        .map_err(StoreError::from)?;
        if stored.rows_affected() == 0 {
            return Err(BlobError::Full { quota: self.quota });
        }
        self.pieces += 1;
        Ok(())
    }

    /// The blob, with its reference. Bytes that are there already are not kept twice.
    pub async fn finish(mut self) -> Result<Blob, BlobError> {
        if self.bytes > MAX_BLOB_BYTES {
            return Err(BlobError::TooLarge);
        }
        if !self.piece.is_empty() || self.pieces == 0 {
            self.store_piece().await?;
        }
        let reference = BlobReference::of(std::mem::take(&mut self.hasher));
        let named = sqlx::query!(
            "update blobs set digest = $3
             where id = $1
               and not exists (select from blobs where namespace_id = $2 and digest = $3)",
            self.id,
            self.namespace_id,
            reference.digest(),
        )
        .execute(&self.store.pool)
        .await;
        let is_new = match named {
            Ok(done) => done.rows_affected() == 1,
            // Somebody was faster with the same bytes.
            Err(error) if is_taken(&error) => false,
            Err(error) => return Err(StoreError::from(error).into()),
        };
        if !is_new {
            self.store.drop_blob(self.id).await?;
            self.store.want_blob(self.namespace_id, reference).await?;
        }
        self.loose = false;
        Ok(self.store.blob(self.namespace_id, reference).await?)
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.loose {
            return;
        }
        let (store, id) = (self.store.clone(), self.id);
        self.runtime.spawn(async move {
            // What stays, because the database is away or a write is still under way, is deleted a day later.
            if let Err(error) = store.drop_blob(id).await {
                tracing::debug!(blob = %id, error = ?error, "an unfinished blob is left for later");
            }
        });
    }
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|it| it.kind() == ErrorKind::UniqueViolation)
}
