//! Asks the store from within an attempt, without holding a connection where nobody looks.
//!
//! A driver polls its attempt and its journal in turns: while it waits for a commit, the attempt stands still. One that
//! had taken a connection would keep it, and once all are taken like that, no commit gets one.

use engine::failure::{ErrorCode, Failure};

/// Does the work in a task of its own. Whoever stops waiting for it lets it go on.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.unwrap_or_else(|_| {
        Err(Failure::new(ErrorCode::Internal, "the task that asks the store has died"))
    })
}
