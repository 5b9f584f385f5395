//! The blobs of a namespace, for guests: what they ask for is done on the worker's runtime, since guests' threads have no
//! network.

use std::sync::Arc;

use engine::blob::BlobReference;
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use sandbox::{BlobSink, Blobs, KeptBlob};
use store::blobs::{Blob, BlobError, BlobWriter};
use store::{Store, StoreError};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct NamespaceBlobs {
    store: Store,
    namespace_id: i32,
    /// What all blobs of the namespace may take, in bytes.
    quota: u64,
    runtime: Handle,
}

#[derive(Debug)]
struct Sink {
    /// None after a write that failed.
    writer: Option<BlobWriter>,
    runtime: Handle,
}

impl NamespaceBlobs {
    /// To be called on the worker's runtime.
    pub(crate) fn of(store: &Store, namespace_id: i32, quota: u64) -> Arc<dyn Blobs> {
        let (store, runtime) = (store.clone(), Handle::current());
        Arc::new(Self { store, namespace_id, quota, runtime })
    }
}

impl Blobs for NamespaceBlobs {
    fn open(&self, reference: BlobReference) -> BoxFuture<'static, Result<KeptBlob, String>> {
        let (store, namespace_id) = (self.store.clone(), self.namespace_id);
        let asked = self.runtime.spawn(async move { store.blob(namespace_id, reference).await });
        answer(asked).map(|found| found.map(kept).map_err(|error| told(&error))).boxed()
    }

    fn read(
        &self,
        blob: Uuid,
        offset: u64,
        most: u32,
    ) -> BoxFuture<'static, Result<Vec<u8>, String>> {
        let store = self.store.clone();
        let asked = self.runtime.spawn(async move { store.read_blob(blob, offset, most).await });
        answer(asked).map(|read| read.map_err(|error| told(&error))).boxed()
    }

    fn begin(&self) -> Box<dyn BlobSink> {
        let _worker = self.runtime.enter();
        let writer = Some(self.store.write_blob(self.namespace_id, self.quota));
        Box::new(Sink { writer, runtime: self.runtime.clone() })
    }
}

impl BlobSink for Sink {
    fn write(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<(), String>> {
        let Some(mut writer) = self.writer.take() else { return ready(unfinished()).boxed() };
        let asked = self.runtime.spawn(async move {
            let written = writer.write(&bytes).await;
            (writer, written)
        });
        async move {
            let (writer, written) = asked.await.map_err(|_| died())?;
            written.map_err(|error| said(&error))?;
            self.writer = Some(writer);
            Ok(())
        }
        .boxed()
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<KeptBlob, String>> {
        let Some(writer) = self.writer.take() else { return ready(unfinished()).boxed() };
        let asked = self.runtime.spawn(writer.finish());
        async move {
            let finished = asked.await.map_err(|_| died())?;
            finished.map(kept).map_err(|error| said(&error))
        }
        .boxed()
    }
}

async fn answer<T>(asked: JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    asked.await.unwrap_or(Err(StoreError::Closing))
}

fn unfinished<T>() -> Result<T, String> {
    Err("the blob cannot be written any more".to_owned())
}

fn died() -> String {
    "the task that writes the blob has died".to_owned()
}

fn kept(blob: Blob) -> KeptBlob {
    KeptBlob { id: blob.id, reference: blob.reference, bytes: blob.bytes }
}

fn said(error: &BlobError) -> String {
    match error {
        BlobError::TooLarge | BlobError::Full { .. } => error.to_string(),
        BlobError::Store(error) => told(error),
    }
}

/// What the guest hears of a failure of the store: not what the database said.
fn told(error: &StoreError) -> String {
    match error {
        StoreError::NotFound { .. } => error.to_string(),
        other => {
            tracing::warn!(error = ?other, "a guest's blob could not be read or written");
            "the store failed: try again".to_owned()
        }
    }
}
