//! The namespaces' secrets, opened: kept for a few seconds, so that a change is seen soon and an attempt costs no query.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::failure::{ErrorCode, Failure};
use moka::future::Cache;
use secrets::{Keyring, Opened, Place, Secret};
use store::secrets::StoredSecret;
use store::{Store, StoreError};

use crate::apart::{apart, patiently};

/// Namespaces whose secrets are kept.
const KEPT: u64 = 100;
/// How long a change may go unseen.
const KEPT_FOR: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Vault {
    store: Store,
    keyring: Option<Keyring>,
    fresh: Cache<i32, Arc<Opened>>,
    /// What was read last, for when the database is away: unscrubbed output would be worse than an old list.
    last: Cache<i32, Arc<Opened>>,
}

impl Vault {
    pub(crate) fn new(store: Store, keyring: Option<Keyring>) -> Self {
        let fresh = Cache::builder().max_capacity(KEPT).time_to_live(KEPT_FOR).build();
        Self { store, keyring, fresh, last: Cache::new(KEPT) }
    }

    /// All secrets of a namespace. Those that cannot be opened are among them, with the reason.
    pub(crate) async fn of(&self, namespace_id: i32) -> Result<Arc<Opened>, Failure> {
        if let Some(opened) = self.fresh.get(&namespace_id).await {
            return Ok(opened);
        }
        let reader = self.clone();
        apart(async move { reader.read(namespace_id).await }).await
    }

    async fn read(&self, namespace_id: i32) -> Result<Arc<Opened>, Failure> {
        let load = Box::pin(self.load(namespace_id));
        match self.fresh.try_get_with(namespace_id, load).await {
            Ok(opened) => {
                self.last.insert(namespace_id, Arc::clone(&opened)).await;
                Ok(opened)
            }
            Err(error) => match self.last.get(&namespace_id).await {
                Some(opened) => Ok(opened),
                None => Err(Failure::new(
                    ErrorCode::Internal,
                    format!("the namespace's secrets could not be read: {error}"),
                )),
            },
        }
    }

    async fn load(&self, namespace_id: i32) -> Result<Arc<Opened>, StoreError> {
        let ask = || self.store.secrets(namespace_id);
        // With nothing to go on with, an attempt waits for as long as the database is away.
        let known = self.last.contains_key(&namespace_id);
        let stored = if known { ask().await? } else { patiently(ask).await? };
        let all =
            stored.into_iter().map(|it| (it.name.clone(), self.open(&it))).collect::<Vec<_>>();
        let (mut opened, mut closed) = (BTreeMap::new(), BTreeMap::new());
        for (name, secret) in all {
            match secret {
                Ok(secret) => drop(opened.insert(name, secret)),
                Err(why) => {
                    tracing::warn!(namespace_id, secret = name, why, "a secret cannot be opened");
                    closed.insert(name, why);
                }
            }
        }
        if opened.is_empty() {
            return Ok(Arc::new(Opened::default().with_closed(closed)));
        }
        // Building the scrubber of many large secrets takes a while.
        let build = move || Arc::new(Opened::new(opened).with_closed(closed));
        Ok(tokio::task::spawn_blocking(build).await.expect("building does not panic"))
    }

    fn open(&self, stored: &StoredSecret) -> Result<Secret, String> {
        let Some(keyring) = &self.keyring else {
            return Err("this worker has no key for secrets: start it with STATEFLOW_SECRETS_KEY or --secrets-key-file".to_owned());
        };
        let rules: Result<Vec<_>, egress::RuleError> =
            stored.destinations.iter().map(|rule| rule.parse()).collect();
        let rules = rules.map_err(|error| error.to_string())?;
        let place = Place { namespace_id: stored.namespace_id, name: &stored.name, rules: &rules };
        let sealed = secrets::Sealed {
            key_id: stored.key_id.clone(),
            nonce: stored.nonce.clone(),
            bytes: stored.sealed.clone(),
        };
        let value = keyring.open(place, &sealed).map_err(|error| error.to_string())?;
        Ok(Secret { value, rules })
    }
}
