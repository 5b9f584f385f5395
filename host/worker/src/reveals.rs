//! That a plugin sees a secret is on record before it does.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use sandbox::Reveals;
use serde_json::Value;
use store::Store;
use store::audit::Entry;
use tokio::runtime::Handle;

/// The record of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct RevealRecord {
    store: Store,
    namespace_id: i32,
    /// The plugin.
    actor: String,
    /// Of which execution, step and attempt.
    place: Value,
    runtime: Handle,
}

impl RevealRecord {
    /// To be called on the worker's runtime.
    pub(crate) fn of(store: &Store, namespace_id: i32, plugin: &str, place: Value) -> Arc<Self> {
        let (store, runtime) = (store.clone(), Handle::current());
        Arc::new(Self { store, namespace_id, actor: format!("plugin {plugin}"), place, runtime })
    }
}

impl Reveals for RevealRecord {
    fn record(&self, secret: String) -> BoxFuture<'static, Result<(), String>> {
        let it = self.clone();
        let recording = self.runtime.spawn(async move {
            let Self { actor, place, .. } = &it;
            let entry =
                Entry { actor, action: "secret.reveal", subject: &secret, detail: place };
            let recorded = it.store.record(it.namespace_id, &entry).await;
            recorded.inspect_err(|error| {
                tracing::error!(error = ?error, secret, actor, %place, "a reveal cannot be put on record");
            })
        });
        async move {
            match recording.await {
                Ok(Ok(())) => Ok(()),
                _ => Err("that the secret is seen cannot be put on record: try again".to_owned()),
            }
        }
        .boxed()
    }
}
