//! What an operator allows: maxima that a plugin or a step can go below, and never above.
//!
//! There are two of them for each attempt, the installation's (a file) and the namespace's (the API). Both have to
//! allow what is done; of two maxima, the lower one holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::{Capability, CapabilityKind};
use crate::signature::check_public_key;

mod pair;

pub use pair::{Owner, PolicyPair};

/// Rules of egress that one policy has at most; the way out takes no more of anybody.
const MAX_RULES: usize = 256;

/// See the module. What is not said is not limited further.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// What `http` steps and plugins may reach: rules such as `https://*.example.com`. Without it, every public host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub egress: Option<Vec<String>>,
    /// What plugins may do.
    #[serde(skip_serializing_if = "is_default")]
    pub plugins: PluginPolicy,
}

/// What plugins may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginPolicy {
    /// Fuel of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub fuel: Option<u64>,
    /// Linear memory of one attempt, in mebibytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub memory_mb: Option<u64>,
    /// Wall clock of one attempt, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub timeout_ms: Option<u64>,
    /// Calls at the same time on one worker, of all plugins of the namespace together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub concurrency: Option<u32>,
    /// Calls at the same time on one worker, of one plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub plugin_concurrency: Option<u32>,
    /// The kinds of capability that plugins may have. Without it, all but `reveal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    /// The secrets that plugins may use. Without it, all of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub secrets: Option<Vec<String>>,
    /// Who has to vouch for a plugin before it is used.
    #[serde(skip_serializing_if = "is_default")]
    pub signatures: SignaturePolicy,
}

/// Who has to vouch for a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SignaturePolicy {
    /// How many of the keys have to have signed it; 0 lets unsigned ones in.
    pub required: u32,
    /// The keys that count.
    #[schemars(length(max = 100))]
    pub keys: Vec<TrustedKey>,
}

/// A key that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedKey {
    /// What it is called here.
    pub id: String,
    /// The Ed25519 public key: 32 bytes in base64.
    pub public_key: String,
}

impl Policy {
    /// Its contradictions, each with a pointer.
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let kinds = self.plugins.capabilities.iter().flatten().enumerate();
        for (at, kind) in kinds {
            if !CapabilityKind::ALL.iter().any(|known| known.as_str() == kind) {
                let known = CapabilityKind::ALL.map(CapabilityKind::as_str).join("`, `");
                let message = format!("`{kind}` is no kind of capability; there are `{known}`");
                faults.push((format!("/plugins/capabilities/{at}"), message));
            }
        }
        if self.egress.as_ref().is_some_and(|rules| rules.len() > MAX_RULES) {
            let message = format!("at most {MAX_RULES} rules are possible");
            faults.push(("/egress".to_owned(), message));
        }
        let plugins = &self.plugins;
        for (field, most) in [
            ("fuel", plugins.fuel),
            ("memoryMb", plugins.memory_mb),
            ("timeoutMs", plugins.timeout_ms),
            ("concurrency", plugins.concurrency.map(u64::from)),
            ("pluginConcurrency", plugins.plugin_concurrency.map(u64::from)),
        ] {
            if most == Some(0) {
                let message = "0 would let nothing run: leave the field out, or allow 1".to_owned();
                faults.push((format!("/plugins/{field}"), message));
            }
        }
        let signatures = &plugins.signatures;
        if signatures.required as usize > signatures.keys.len() {
            let message = format!(
                "{} signatures are required, and there are {} keys",
                signatures.required,
                signatures.keys.len()
            );
            faults.push(("/plugins/signatures/required".to_owned(), message));
        }
        for (at, key) in signatures.keys.iter().enumerate() {
            let before = &signatures.keys[..at];
            if before.iter().any(|other| other.id == key.id) {
                let message = format!("the key `{}` is named twice", key.id);
                faults.push((format!("/plugins/signatures/keys/{at}/id"), message));
            }
            if let Some(other) = before.iter().find(|other| other.public_key == key.public_key) {
                let message = format!("it is the key `{}` again, and counts once", other.id);
                faults.push((format!("/plugins/signatures/keys/{at}/publicKey"), message));
            }
            if let Err(error) = check_public_key(&key.public_key) {
                let place = format!("/plugins/signatures/keys/{at}/publicKey");
                faults.push((place, error.to_string()));
            }
        }
        faults
    }
}

impl PluginPolicy {
    /// Whether plugins may have this, as far as its kind and its secret are concerned. Rules of egress are judged
    /// where requests are made.
    pub fn allows(&self, asked: &Capability) -> bool {
        let kind = asked.kind.as_str();
        let by_kind =
            self.capabilities.as_ref().map_or(asked.kind != CapabilityKind::Reveal, |kinds| {
                kinds.iter().any(|it| it == kind)
            });
        by_kind && (!is_about_a_secret(asked.kind) || self.allows_secret(&asked.subject))
    }

    /// Whether plugins may use this secret at all.
    pub fn allows_secret(&self, name: &str) -> bool {
        self.secrets.as_ref().is_none_or(|names| names.iter().any(|it| it == name))
    }
}

fn is_about_a_secret(kind: CapabilityKind) -> bool {
    matches!(kind, CapabilityKind::Secret | CapabilityKind::Sign | CapabilityKind::Reveal)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The lower of two maxima, where either may be missing.
fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::signature::SecretKey;

    fn policy(value: serde_json::Value) -> Policy {
        serde_json::from_value(value).unwrap()
    }

    fn asked(text: &str) -> Capability {
        text.parse().unwrap()
    }

    #[test]
    fn without_a_word_everything_but_revealing_is_allowed() {
        let policy = Policy::default().plugins;
        for text in ["log", "http https://a.example", "secret a", "sign a"] {
            assert!(policy.allows(&asked(text)), "{text}");
        }
        assert!(!policy.allows(&asked("reveal a")));
    }

    #[test]
    fn kinds_and_secrets_are_what_is_listed() {
        let policy = policy(json!({ "plugins": {
            "capabilities": ["log", "secret", "reveal"], "secrets": ["a"] } }))
        .plugins;
        let all = ["log", "clock", "secret a", "secret b", "reveal a"];
        let refused: Vec<_> = all.into_iter().filter(|it| !policy.allows(&asked(it))).collect();
        assert_eq!(refused, ["clock", "secret b"]);
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let [one, other] = [1, 2].map(|seed| SecretKey::new(&[seed; 32]).public());
        let policy = policy(json!({ "plugins": {
            "capabilities": ["log", "files"],
            "signatures": { "required": 5, "keys": [
                { "id": "k", "publicKey": one }, { "id": "k", "publicKey": other },
                { "id": "l", "publicKey": one }, { "id": "m", "publicKey": "short" }] } } }));
        let places: Vec<_> = policy.faults().into_iter().map(|(place, _)| place).collect();
        assert_eq!(
            places,
            [
                "/plugins/capabilities/1",
                "/plugins/signatures/required",
                "/plugins/signatures/keys/1/id",
                "/plugins/signatures/keys/2/publicKey",
                "/plugins/signatures/keys/3/publicKey"
            ]
        );
        assert!(serde_json::from_value::<Policy>(json!({ "plugin": {} })).is_err());
    }

    #[test]
    fn maxima_of_nothing_and_too_many_rules_are_faults() {
        let rules =
            |count: usize| policy(json!({ "egress": vec!["https://a.test"; count] })).faults();
        assert_eq!([255, 256, 257].map(|count| rules(count).len()), [0, 0, 1]);
        let none = policy(json!({ "plugins": { "fuel": 0, "timeoutMs": 1, "concurrency": 0 } }));
        let places: Vec<_> = none.faults().into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, ["/plugins/fuel", "/plugins/concurrency"]);
    }

    #[test]
    fn the_lower_maximum_holds() {
        assert_eq!(lower(Some(1), Some(2)), Some(1));
        assert_eq!(lower(None, Some(2)), Some(2));
        assert_eq!(lower::<u32>(None, None), None);
    }
}
