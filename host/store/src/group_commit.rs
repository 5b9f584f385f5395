//! Group commit: while one batch is being written, the next one gathers. One commit pays for all.
//!
//! ```text
//! callers ──▶ channel ──▶ gather what is ready ──▶ write the batch ──▶ answer each caller
//!                              ▲                         │
//!                              └─────────────────────────┘
//! ```

use tokio::sync::{mpsc, oneshot};

use crate::StoreError;

/// One caller's item, about how many bytes it brings, and where its answer goes.
pub(crate) struct Entry<I, O> {
    pub(crate) item: I,
    weight: usize,
    answer: oneshot::Sender<O>,
}

impl<I, O> Entry<I, O> {
    /// Answers the caller; it may have gone.
    pub(crate) fn answer(self, answer: O) {
        drop(self.answer.send(answer));
    }
}

/// The callers' side.
pub(crate) struct Submitter<I, O>(mpsc::Sender<Entry<I, O>>);

impl<I, O> Clone for Submitter<I, O> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<I, O> Submitter<I, O> {
    /// A channel that holds `waiting` items: who comes then waits for room.
    pub(crate) fn channel(waiting: usize) -> (Self, Batches<I, O>) {
        let (sender, receiver) = mpsc::channel(waiting);
        (Self(sender), Batches { receiver, most: waiting })
    }

    /// Hands an item in and waits for its answer.
    pub(crate) async fn submit(&self, item: I, weight: usize) -> Result<O, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Entry { item, weight, answer }).await.map_err(|_| StoreError::Closing)?;
        answered.await.map_err(|_| StoreError::Closing)
    }
}

/// The writer's side.
pub(crate) struct Batches<I, O> {
    receiver: mpsc::Receiver<Entry<I, O>>,
    most: usize,
}

impl<I, O> Batches<I, O> {
    /// Waits for the first item, then takes what else is there until the batch is full, at so many bytes.
    /// `None` when every caller's side is gone.
    pub(crate) async fn next(&mut self, full: usize) -> Option<Vec<Entry<I, O>>> {
        let first = self.receiver.recv().await?;
        let mut total = first.weight;
        let mut batch = vec![first];
        while total < full && batch.len() < self.most {
            let Ok(entry) = self.receiver.try_recv() else { break };
            total += entry.weight;
            batch.push(entry);
        }
        Some(batch)
    }
}
