//! The plugin versions that steps are locked to: fetched from the store and compiled, or loaded, on first use.

use std::sync::Arc;

use engine::capability::CapabilitySet;
use engine::failure::{ErrorCode, Failure};
use engine::plan::LockedPlugin;
use moka::future::Cache;
use sandbox::{Prepared, Sandbox};
use store::{Store, StoreError};

use crate::apart::{apart, patiently};
use crate::metrics::PluginMetrics;

/// Versions that are kept at hand. The sandbox bounds the machine code behind them.
const KEPT: u64 = 1_000;

/// A plugin that can be called, and what it may do.
pub(crate) struct Known {
    pub(crate) plugin: Prepared,
    /// `team/name`.
    pub(crate) name: String,
    pub(crate) grants: CapabilitySet,
}

/// The version that a step is locked to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) namespace_id: i32,
    /// `team/name`.
    pub(crate) name: String,
    pub(crate) locked: LockedPlugin,
}

#[derive(Clone)]
pub(crate) struct Plugins {
    store: Store,
    sandbox: Sandbox,
    cache: Cache<Wanted, Arc<Known>>,
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
        namespace: &str,
        wanted: Wanted,
        metrics: &PluginMetrics,
    ) -> Result<Arc<Known>, Failure> {
        let loader = self.clone();
        let (namespace, metrics) = (namespace.to_owned(), metrics.clone());
        let key = wanted.clone();
        let load = apart(async move { loader.load(&namespace, &wanted, &metrics).await });
        self.cache.try_get_with(key, load).await.map_err(|failure: Arc<Failure>| (*failure).clone())
    }

    async fn load(
        &self,
        namespace: &str,
        wanted: &Wanted,
        metrics: &PluginMetrics,
    ) -> Result<Arc<Known>, Failure> {
        let Wanted { namespace_id, name, locked } = wanted;
        let digest = locked.digest.as_str();
        let unread = |error| unread(digest, error);
        let stored = patiently(|| self.store.locked_plugin(*namespace_id, name, locked))
            .await
            .map_err(unread)?;
        let known = |plugin: Prepared| {
            metrics.loaded(&stored.name, plugin.receipt().cached);
            let grants = stored.grants.clone().unwrap_or_default();
            Arc::new(Known { plugin, name: stored.name.clone(), grants })
        };
        if let Some(plugin) = self.sandbox.cached(&stored.component_digest).await {
            return Ok(known(plugin));
        }
        let component = patiently(|| self.store.plugin_component(*namespace_id, digest))
            .await
            .map_err(unread)?;
        let prepared = self.sandbox.prepare(namespace, &component).await;
        prepared
            .map(known)
            .map_err(|error| Failure::new(ErrorCode::Internal, format!("plugin {digest}: {error}")))
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
