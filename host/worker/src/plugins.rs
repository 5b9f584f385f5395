//! Plugins by digest: fetched from the store and compiled, or loaded, on first use.

use engine::failure::{ErrorCode, Failure};
use moka::future::Cache;
use sandbox::{Prepared, Sandbox};
use store::{Store, StoreError};

/// Digests whose plugin is kept at hand. The sandbox bounds the machine code behind them.
const KEPT: u64 = 1_000;

#[derive(Clone)]
pub(crate) struct Plugins {
    store: Store,
    sandbox: Sandbox,
    cache: Cache<(i32, String), Prepared>,
}

impl Plugins {
    pub(crate) fn new(store: Store, sandbox: Sandbox) -> Self {
        Self { store, sandbox, cache: Cache::new(KEPT) }
    }

    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The plugin, ready to be called.
    pub(crate) async fn get(
        &self,
        namespace_id: i32,
        namespace: &str,
        digest: &str,
    ) -> Result<Prepared, Failure> {
        let load = async {
            let unread = |error| unread(digest, error);
            let stored = self.store.plugin_of(namespace_id, digest).await.map_err(unread)?;
            if let Some(plugin) = self.sandbox.cached(&stored.component_digest).await {
                return Ok(plugin);
            }
            let component =
                self.store.plugin_component(namespace_id, digest).await.map_err(unread)?;
            self.sandbox.prepare(namespace, &component).await.map_err(|error| {
                Failure::new(ErrorCode::Internal, format!("plugin {digest}: {error}"))
            })
        };
        let key = (namespace_id, digest.to_owned());
        self.cache
            .try_get_with(key, load)
            .await
            .map_err(|failure: std::sync::Arc<Failure>| (*failure).clone())
    }
}

fn unread(digest: &str, error: StoreError) -> Failure {
    match error {
        StoreError::NotFound { .. } => {
            Failure::permanent(ErrorCode::PluginMissing, format!("plugin {digest} is not stored"))
        }
        other => {
            Failure::new(ErrorCode::Internal, format!("plugin {digest} could not be read: {other}"))
        }
    }
}
