//! Asks the store from within an attempt, without holding a connection where nobody looks.
//!
//! A driver polls its attempt and its journal in turns: while it waits for a commit, the attempt stands still. One that
//! had taken a connection would keep it, and once all are taken like that, no commit gets one.

use std::time::Duration;

use engine::failure::{ErrorCode, Failure};
use store::StoreError;
use tokio_util::task::AbortOnDropHandle;

/// The first and the longest wait before a store that is away is asked again.
const AGAIN_FROM: Duration = Duration::from_millis(50);
const AGAIN_TO: Duration = Duration::from_secs(2);

/// Does the work in a task of its own. Whoever stops waiting for it ends it.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    AbortOnDropHandle::new(tokio::spawn(work)).await.unwrap_or_else(|_| {
        Err(Failure::new(ErrorCode::Internal, "the task that asks the store has died"))
    })
}

/// What the store answers once it is there. That it is away is no failure of the attempt that needs the answer: like the
/// journal, it waits.
pub(crate) async fn patiently<T, W>(ask: impl Fn() -> W) -> Result<T, StoreError>
where
    W: Future<Output = Result<T, StoreError>>,
{
    let mut wait = AGAIN_FROM;
    loop {
        match ask().await {
            Err(error) if error.is_transient() => {
                tracing::warn!(error = ?error, "an attempt waits for the database");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(AGAIN_TO);
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use store::{Schema, Store, StoreSettings};

    use super::*;

    #[tokio::test]
    async fn a_store_that_is_away_is_asked_again_and_one_that_refuses_is_not() {
        let nowhere = || StoreSettings::new("postgres://127.0.0.1:1/none", Schema::default());
        let asked = AtomicU32::new(0);
        let answer = patiently(async || match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Store::open(nowhere()).await.map(|_| 0),
            _ => Ok(7),
        });
        assert!(matches!(answer.await, Ok(7)));
        assert_eq!(asked.into_inner(), 2);
        let refused = patiently(async || Err::<(), _>(StoreError::Closing)).await;
        assert!(matches!(refused, Err(StoreError::Closing)));
    }
}
