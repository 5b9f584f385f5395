//! Has at hand what the next executions are likely to need, before anybody waits for it: a process that has just begun
//! runs what ran before it.

use store::Store;
use store::workflows::InUse;

use crate::attempts::Attempts;
use crate::kin::Kin;
use crate::plugins::Wanted;

/// How many executions, the newest ones, say what is in use.
const LOOKED_AT: i64 = 1_000;

pub(crate) struct Warming {
    pub(crate) store: Store,
    pub(crate) kin: Kin,
    pub(crate) attempts: Attempts,
}

impl Warming {
    /// Takes one version after the other: whoever is called meanwhile has most of the machine. What cannot be had now is
    /// asked for again when it is needed, and it is said then what is wrong with it.
    pub(crate) async fn run(self) {
        let versions = match self.store.versions_in_use(LOOKED_AT).await {
            Ok(versions) => versions,
            Err(error) => return tracing::debug!(%error, "what is in use is not known"),
        };
        for version in versions {
            if let Err(error) = self.have(&version).await {
                tracing::debug!(?version, "not at hand: {error:#}");
            }
        }
    }

    async fn have(&self, in_use: &InUse) -> anyhow::Result<()> {
        let InUse { namespace, namespace_id, workflow_id, version } = in_use;
        let (namespace_id, attempts) = (*namespace_id, &self.attempts);
        let plan = self.kin.plans.get(*workflow_id, *version).await?;
        attempts.policies.of(namespace_id, namespace).await?;
        for (name, locked) in plan.plugins() {
            let (name, locked) = (name.to_owned(), locked.clone());
            let wanted = Wanted { namespace_id, name, locked };
            attempts.plugins.get(namespace, wanted, &attempts.metrics.plugins).await?;
        }
        Ok(())
    }
}
