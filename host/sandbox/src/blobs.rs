//! Where guests' blobs are kept, as the sandbox asks for it. Whoever runs the sandbox has the store.

use std::fmt::Debug;

use engine::blob::BlobReference;
use futures::future::BoxFuture;
use uuid::Uuid;

/// A blob that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBlob {
    /// What it is read by.
    pub id: Uuid,
    /// What stands for it.
    pub reference: BlobReference,
    /// How large it is.
    pub bytes: u64,
}

/// The blobs of one attempt's namespace. Errors are sentences for the plugin's author. The futures are awaited on guests'
/// threads, which have no network: what needs one has to run elsewhere.
pub trait Blobs: Debug + Send + Sync {
    /// What a reference stands for.
    fn open(&self, reference: BlobReference) -> BoxFuture<'static, Result<KeptBlob, String>>;

    /// So many bytes from an offset on; fewer at the end or where it suits the store, none only beyond the end.
    fn read(
        &self,
        blob: Uuid,
        offset: u64,
        most: u32,
    ) -> BoxFuture<'static, Result<Vec<u8>, String>>;

    /// Begins a blob.
    fn begin(&self) -> Box<dyn BlobSink>;
}

/// A blob that is being written.
pub trait BlobSink: Debug + Send {
    /// Appends bytes.
    fn write(&mut self, bytes: Vec<u8>) -> BoxFuture<'_, Result<(), String>>;

    /// Keeps what was written.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<KeptBlob, String>>;
}
