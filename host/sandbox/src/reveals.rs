//! Where it is put on record that a plugin sees a secret. Whoever runs the sandbox has the store.

use std::fmt::Debug;

use futures::future::BoxFuture;

/// The record of one attempt's reveals. The future is awaited on guests' threads, which have no network: what needs one
/// has to run elsewhere.
pub trait Reveals: Debug + Send + Sync {
    /// Puts on record that the plugin is about to see this secret. If that fails, it does not: the error is a sentence
    /// for the plugin's author.
    fn record(&self, secret: String) -> BoxFuture<'static, Result<(), String>>;
}
