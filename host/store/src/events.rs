//! Storing events: grouped like starts, so that many senders share a commit.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::group_commit::{Batches, Entry, Submitter};
use crate::messages::NewEvent;
use crate::{Store, StoreError};

/// How many senders may wait for the commit under way.
const MAX_WAITING: usize = 1_024;
/// A batch is full at about this many bytes of data.
const FULL_BYTES: usize = 4 << 20;

/// For each event of a sender, in their order: whether it is new.
type Answer = Result<Vec<bool>, Arc<StoreError>>;

/// The handle of the writer of events, which ends when the last handle is gone.
#[derive(Clone)]
pub struct Events {
    submitter: Submitter<Vec<NewEvent>, Answer>,
}

impl Events {
    /// Starts the writer.
    pub fn open(store: Store) -> (Self, JoinHandle<()>) {
        let (submitter, batches) = Submitter::channel(MAX_WAITING);
        (Self { submitter }, tokio::spawn(run(store, batches)))
    }

    /// Stores events; they are durable when this returns. For each, in their order: whether it is new.
    pub async fn post(&self, events: Vec<NewEvent>) -> Result<Vec<bool>, Arc<StoreError>> {
        let weight = events.iter().map(|event| 128 + event.data.len()).sum();
        let answer = self.submitter.submit(events, weight).await;
        answer.unwrap_or_else(|error| Err(Arc::new(error)))
    }
}

async fn run(store: Store, mut batches: Batches<Vec<NewEvent>, Answer>) {
    while let Some(batch) = batches.next(FULL_BYTES).await {
        post(&store, batch).await;
    }
}

async fn post(store: &Store, batch: Vec<Entry<Vec<NewEvent>, Answer>>) {
    let events: Vec<_> = batch.iter().flat_map(|entry| &entry.item).collect();
    let outcome = store.post_events(&events).await;
    match outcome {
        Ok(fresh) => {
            let mut fresh = fresh.into_iter();
            for entry in batch {
                let of_sender = fresh.by_ref().take(entry.item.len()).collect();
                entry.answer(Ok(of_sender));
            }
        }
        // What the database refuses of one sender must not take the others with it.
        Err(error) if !error.is_transient() && batch.len() > 1 => {
            for entry in batch {
                Box::pin(post(store, vec![entry])).await;
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for entry in batch {
                entry.answer(Err(Arc::clone(&error)));
            }
        }
    }
}
