//! Plans by version: loaded once, shared by all executions of the version.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use engine::definition::Definition;
use engine::plan::Plan;
use moka::future::Cache;
use store::Store;
use uuid::Uuid;

/// Versions whose plan is kept ready.
const KEPT: u64 = 1_000;

#[derive(Clone)]
pub(crate) struct Plans {
    store: Store,
    cache: Cache<(Uuid, i32), Arc<Plan>>,
}

impl Plans {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, cache: Cache::new(KEPT) }
    }

    /// The plan of a version; concurrent callers load it once.
    pub(crate) async fn get(&self, workflow_id: Uuid, version: i32) -> anyhow::Result<Arc<Plan>> {
        let load = async {
            let stored = self.store.version(workflow_id, version).await?;
            let definition: Definition = serde_json::from_value(stored.definition)
                .context("the stored definition is unreadable")?;
            let plan =
                Plan::compile(&definition, version, &stored.plugin_lock).map_err(|errors| {
                    anyhow!("the stored definition no longer compiles: {errors:?}")
                })?;
            anyhow::Ok(Arc::new(plan))
        };
        self.cache
            .try_get_with((workflow_id, version), load)
            .await
            .map_err(|error| anyhow!("{error:#}"))
    }
}
