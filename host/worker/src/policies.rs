//! What namespaces are allowed: two policies that both have to agree, the installation's and the namespace's own,
//! remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use egress::{Caps, Egress, Grant, Party, Private, Rule};
use engine::capability::{Capability, CapabilityKind, CapabilitySet};
use engine::failure::{ErrorCode, Failure};
use engine::plan::PlannedStep;
use engine::policy::{PluginPolicy, Policy, PolicyPair};
use native::{Grants, HTTP_CAPS};
use sandbox::{CallLimits, Reach, Share};
use store::namespaces::StoredPolicy;
use store::{Store, StoreError};
use tokio::sync::Mutex;

use crate::apart::{apart, patiently};

/// How long a policy is believed after it was read.
const BELIEVED_FOR: Duration = Duration::from_secs(2);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Policies(Arc<Inner>);

struct Inner {
    store: Store,
    egress: Egress,
    operator: Policy,
    private: Private,
    known: RwLock<HashMap<String, (Instant, Arc<Allowed>)>>,
    /// Held by whoever asks the store: the others need not ask as well.
    asking: Arc<Mutex<()>>,
}

/// What one namespace is allowed.
#[derive(Debug)]
pub(crate) struct Allowed {
    plugins: PolicyPair,
    /// Whose rules of egress count.
    parties: Vec<Party>,
    private: Private,
    /// What `http` steps may reach.
    http: Arc<Grant>,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("operator", &self.0.operator).finish_non_exhaustive()
    }
}

impl Policies {
    /// With the installation's policy, and the ranges that the operator opened.
    pub fn new(store: Store, egress: Egress, operator: Policy, private: Private) -> Self {
        let (known, asking) = (RwLock::default(), Arc::default());
        Self(Arc::new(Inner { store, egress, operator, private, known, asking }))
    }

    /// What a namespace is allowed. If it cannot be read just now, what was known last.
    pub(crate) async fn of(&self, id: i32, namespace: &str) -> Result<Arc<Allowed>, Failure> {
        let last = self.last(namespace);
        if let Some((read_at, allowed)) = &last
            && read_at.elapsed() < BELIEVED_FOR
        {
            return Ok(Arc::clone(allowed));
        }
        let (reader, name) = (self.clone(), namespace.to_owned());
        let Some((_, allowed)) = last else {
            return apart(async move {
                let _turn = reader.0.asking.lock().await;
                if let Some((_, allowed)) = reader.last(&name) {
                    return Ok(allowed);
                }
                let stored = patiently(|| reader.0.store.policy(id)).await;
                reader.remember(stored, name)
            })
            .await;
        };
        let Ok(turn) = Arc::clone(&self.0.asking).try_lock_owned() else { return Ok(allowed) };
        let read = apart(async move {
            let _turn = turn;
            let stored = reader.0.store.policy(id).await;
            reader.remember(stored, name)
        });
        Ok(read.await.unwrap_or_else(|failure| {
            tracing::warn!(namespace, %failure, "going on with the policy as it was");
            allowed
        }))
    }

    fn remember(
        &self,
        stored: Result<StoredPolicy, StoreError>,
        namespace: String,
    ) -> Result<Arc<Allowed>, Failure> {
        let stored = stored.map_err(|error| unread(&error.to_string()))?;
        let allowed = Arc::new(self.allowed(stored.policy)?);
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(namespace, (Instant::now(), Arc::clone(&allowed)));
        Ok(allowed)
    }

    /// What a call of a plugin may reach: what it was granted, what the step leaves of that, and what the policies
    /// allow, all at once.
    pub(crate) fn reach(
        &self,
        allowed: &Allowed,
        name: &str,
        grants: &CapabilitySet,
        step: &PlannedStep,
    ) -> Result<Option<Reach>, Failure> {
        let by_kind = grants.iter().any(|it| it.kind == CapabilityKind::Http && allowed.allows(it));
        if !by_kind {
            return Ok(None);
        }
        let mut parties = allowed.parties.clone();
        let granted = grants.subjects(CapabilityKind::Http);
        parties.push(party(&format!("plugin {name}"), granted)?);
        let hosts = step.step.limits.as_ref().and_then(|limits| limits.hosts.as_ref());
        if let Some(hosts) = hosts {
            parties.push(party("the step", hosts.iter().map(String::as_str))?);
        }
        let grant = Grant::new(parties, allowed.private.clone(), Caps::default())
            .map_err(|error| unusable(&error.to_string()))?;
        Ok(Some(Reach { egress: self.0.egress.clone(), grant: Arc::new(grant) }))
    }

    fn last(&self, namespace: &str) -> Option<(Instant, Arc<Allowed>)> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).get(namespace).cloned()
    }

    fn allowed(&self, namespace: Policy) -> Result<Allowed, Failure> {
        let named = [
            ("the operator's policy", &self.0.operator.egress),
            ("the namespace's policy", &namespace.egress),
        ];
        let mut parties = Vec::new();
        for (name, rules) in named {
            if let Some(rules) = rules {
                parties.push(party(name, rules.iter().map(String::as_str))?);
            }
        }
        if parties.is_empty() {
            parties.push(Party { name: "the policy".into(), rules: vec![Rule::anything()] });
        }
        let private = self.0.private.clone();
        let http = Grant::new(parties.clone(), private.clone(), HTTP_CAPS)
            .map_err(|error| unusable(&error.to_string()))?;
        Ok(Allowed {
            plugins: PolicyPair {
                operator: self.0.operator.plugins.clone(),
                namespace: namespace.plugins,
            },
            parties,
            private,
            http: Arc::new(http),
        })
    }
}

impl Grants for Policies {
    /// As it was read before the step began; nothing, if it never was.
    fn for_namespace(&self, namespace: &str) -> Arc<Grant> {
        self.last(namespace).map_or_else(nothing, |(_, allowed)| Arc::clone(&allowed.http))
    }
}

impl Allowed {
    /// Whether both policies allow plugins this.
    pub(crate) fn allows(&self, asked: &Capability) -> bool {
        self.plugins.allows(asked)
    }

    /// Limits, lowered to what both policies allow.
    pub(crate) fn lowered(&self, limits: CallLimits) -> CallLimits {
        let most =
            |pick: fn(&PluginPolicy) -> Option<u64>| self.plugins.least(pick).unwrap_or(u64::MAX);
        let memory = most(|policy| policy.memory_mb).saturating_mul(1 << 20);
        CallLimits {
            fuel: limits.fuel.min(most(|policy| policy.fuel)),
            memory_bytes: limits.memory_bytes.min(memory),
            timeout: limits.timeout.min(Duration::from_millis(most(|policy| policy.timeout_ms))),
        }
    }

    /// How much of the sandbox the namespace and one plugin of it may hold.
    pub(crate) fn share(&self) -> Share {
        let most = |pick: fn(&PluginPolicy) -> Option<u32>| {
            self.plugins.least(pick).map_or(usize::MAX, |count| count.max(1) as usize)
        };
        Share {
            namespace: most(|policy| policy.concurrency),
            plugin: most(|policy| policy.plugin_concurrency),
        }
    }
}

fn party<'a>(name: &str, rules: impl Iterator<Item = &'a str>) -> Result<Party, Failure> {
    let rules = rules.map(|text| {
        text.parse::<Rule>().map_err(|error| unusable(&format!("{name}: `{text}`: {error}")))
    });
    Ok(Party { name: name.to_owned(), rules: rules.collect::<Result<_, _>>()? })
}

fn nothing() -> Arc<Grant> {
    let grant = Grant::new(Vec::new(), Private::default(), Caps::default());
    Arc::new(grant.expect("no party has too many rules"))
}

fn unread(error: &str) -> Failure {
    Failure::new(ErrorCode::Internal, format!("the namespace's policy could not be read: {error}"))
}

fn unusable(error: &str) -> Failure {
    Failure::permanent(
        ErrorCode::ConfigInvalid,
        format!("the rules of egress are not usable: {error}"),
    )
}
