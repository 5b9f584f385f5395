//! Blobs of a plugin that runs here: in memory, for as long as the command takes.

use std::sync::{Arc, Mutex, PoisonError};

use engine::blob::{BlobReference, MAX_BLOB_BYTES};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use sandbox::{BlobSink, Blobs, KeptBlob};
use uuid::Uuid;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalBlobs(Arc<Mutex<Vec<Stored>>>);

#[derive(Debug)]
struct Stored {
    blob: KeptBlob,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Sink {
    blobs: LocalBlobs,
    bytes: Vec<u8>,
}

impl LocalBlobs {
    fn with<R>(&self, act: impl FnOnce(&mut Vec<Stored>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Blobs for LocalBlobs {
    fn open(&self, reference: BlobReference) -> BoxFuture<'static, Result<KeptBlob, String>> {
        let found = self.with(|blobs| {
            let mut kept = blobs.iter().map(|it| it.blob);
            kept.find(|blob| blob.reference == reference)
        });
        ready(found.ok_or_else(|| format!("blob `{reference}` does not exist here"))).boxed()
    }

    fn read(
        &self,
        blob: Uuid,
        offset: u64,
        most: u32,
    ) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = self.with(|blobs| {
            let kept = blobs.iter().find(|it| it.blob.id == blob);
            let bytes = kept.and_then(|it| it.bytes.get(offset..));
            bytes.unwrap_or_default().iter().take(most as usize).copied().collect()
        });
        ready(Ok(part)).boxed()
    }

    fn begin(&self) -> Box<dyn BlobSink> {
        Box::new(Sink { blobs: self.clone(), bytes: Vec::new() })
    }
}

impl BlobSink for Sink {
    fn write(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<(), String>> {
        self.bytes.extend(bytes);
        let fits = self.bytes.len() as u64 <= MAX_BLOB_BYTES;
        let too_large = || format!("a blob has {MAX_BLOB_BYTES} bytes at most");
        ready(fits.then_some(()).ok_or_else(too_large)).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<KeptBlob, String>> {
        let reference = BlobReference::of_bytes(&self.bytes);
        let blob = KeptBlob { id: Uuid::now_v7(), reference, bytes: self.bytes.len() as u64 };
        let Self { blobs, bytes } = *self;
        blobs.with(|blobs| blobs.push(Stored { blob, bytes }));
        ready(Ok(blob)).boxed()
    }
}
