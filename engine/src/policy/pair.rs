//! The two policies that a namespace's plugins are under. Both have to agree.

use super::{PluginPolicy, TrustedKey, lower};
use crate::capability::{Capability, CapabilitySet};
use crate::signature::{Statement, Vouch};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyPair {
    /// The installation's.
    pub operator: PluginPolicy,
    /// The namespace's own.
    pub namespace: PluginPolicy,
}

/// Whose policy it is that does not allow something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Whoever runs the installation.
    Operator,
    /// Whoever runs the namespace.
    Namespace,
}

impl Owner {
    /// The policy, as it is called to people.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Operator => "the installation's policy",
            Self::Namespace => "the namespace's policy",
        }
    }

    /// What to do about a policy that does not allow it.
    pub fn help(self) -> &'static str {
        match self {
            Self::Operator => {
                "leave it out, or ask the operator to allow it in the file that `--policy` names"
            }
            Self::Namespace => "leave it out, or allow it with `stateflow policy set`",
        }
    }
}

impl PolicyPair {
    /// Whether plugins may have this; see [`PluginPolicy::allows`].
    pub fn allows(&self, asked: &Capability) -> bool {
        self.forbidden_by(asked).is_none()
    }

    /// What of these is not allowed, and by whom.
    pub fn refused<'a>(&self, asked: &'a CapabilitySet) -> Vec<(&'a Capability, Owner)> {
        asked.iter().filter_map(|it| Some((it, self.forbidden_by(it)?))).collect()
    }

    /// The lower of both maxima, if there is one.
    pub fn least<T: Ord>(&self, pick: impl Fn(&PluginPolicy) -> Option<T>) -> Option<T> {
        lower(pick(&self.operator), pick(&self.namespace))
    }

    /// The keys of this name that count. The two policies may name different ones alike.
    pub fn keys(&self, id: &str) -> impl Iterator<Item = &TrustedKey> {
        self.both().into_iter().flat_map(|it| &it.signatures.keys).filter(move |key| key.id == id)
    }

    /// How many more keys have to sign: of the policy that lacks most.
    ///
    /// Signatures are verified by the keys as they are now, so that one by a key that was replaced, or by another's key
    /// of the same name, does not count.
    pub fn missing_signatures(&self, about: Statement<'_>, vouches: &[Vouch]) -> u32 {
        let missing = |policy: &PluginPolicy| {
            let good = |key: &&TrustedKey| {
                vouches.iter().any(|it| it.is_by(&key.id, &key.public_key, about))
            };
            let counted = policy.signatures.keys.iter().filter(good).count();
            policy.signatures.required.saturating_sub(u32::try_from(counted).unwrap_or(u32::MAX))
        };
        self.both().into_iter().map(missing).max().unwrap_or(0)
    }

    fn forbidden_by(&self, asked: &Capability) -> Option<Owner> {
        if !self.operator.allows(asked) {
            return Some(Owner::Operator);
        }
        (!self.namespace.allows(asked)).then_some(Owner::Namespace)
    }

    fn both(&self) -> [&PluginPolicy; 2] {
        [&self.operator, &self.namespace]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Policy;
    use crate::signature::SecretKey;

    const ABOUT: Statement<'_> = Statement { name: "t/n", version: "1.0.0", digest: "sha256:00" };

    fn plugins(value: &serde_json::Value) -> PluginPolicy {
        serde_json::from_value::<Policy>(json!({ "plugins": value })).unwrap().plugins
    }

    fn requires(key: &SecretKey) -> PluginPolicy {
        plugins(&json!({ "signatures": { "required": 1,
            "keys": [{ "id": "release", "publicKey": key.public() }] } }))
    }

    fn vouch(key: &SecretKey) -> Vouch {
        Vouch { key_id: "release".to_owned(), signature: key.sign(ABOUT).to_vec() }
    }

    #[test]
    fn both_have_to_agree_and_it_is_said_who_does_not() {
        let reveals = plugins(&json!({ "capabilities": ["reveal", "log"] }));
        let asked: CapabilitySet =
            ["log", "reveal a", "clock"].map(|it| it.parse().unwrap()).into_iter().collect();
        let refused = |operator: &PluginPolicy, namespace: &PluginPolicy| {
            let pair = PolicyPair { operator: operator.clone(), namespace: namespace.clone() };
            let refused = pair.refused(&asked).into_iter();
            refused.map(|(what, owner)| (what.to_string(), owner)).collect::<Vec<_>>()
        };
        let (silent, all) = (
            PluginPolicy::default(),
            plugins(&json!({ "capabilities": ["reveal", "log", "clock"] })),
        );
        assert_eq!(refused(&all, &all), []);
        assert_eq!(refused(&silent, &all), [("reveal a".to_owned(), Owner::Operator)]);
        assert_eq!(refused(&all, &reveals), [("clock".to_owned(), Owner::Namespace)]);
    }

    #[test]
    fn each_policy_counts_the_signatures_of_its_own_keys() {
        let (ours, theirs) = (SecretKey::new(&[1; 32]), SecretKey::new(&[2; 32]));
        let pair = PolicyPair { operator: requires(&ours), namespace: requires(&theirs) };
        assert_eq!(pair.keys("release").count(), 2);
        assert_eq!(pair.missing_signatures(ABOUT, &[]), 1);
        assert_eq!(
            pair.missing_signatures(ABOUT, &[vouch(&theirs)]),
            1,
            "the operator's is missing"
        );
        assert_eq!(pair.missing_signatures(ABOUT, &[vouch(&ours), vouch(&theirs)]), 0);
        let replaced = PolicyPair { operator: requires(&theirs), ..PolicyPair::default() };
        assert_eq!(replaced.missing_signatures(ABOUT, &[vouch(&ours)]), 1, "of a key that was");
        let other = Statement { version: "1.0.1", ..ABOUT };
        assert_eq!(replaced.missing_signatures(other, &[vouch(&theirs)]), 1);
    }
}
