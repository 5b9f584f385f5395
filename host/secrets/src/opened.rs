//! The secrets of a namespace, opened: shared by all attempts that run for it at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use egress::{Destination, Rule};
use http::Method;

use crate::scrubber::Scrubber;
use crate::secret::SecretValue;

/// A secret, opened.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Its value.
    pub value: SecretValue,
    /// Where it may be sent.
    pub rules: Vec<Rule>,
}

impl Secret {
    /// Whether it may be sent there.
    pub fn may_go_to(&self, to: &Destination, method: &Method) -> bool {
        self.rules.iter().any(|rule| rule.matches(to, method))
    }
}

/// All secrets of a namespace, and what takes them out of texts.
#[derive(Debug, Default)]
pub struct Opened {
    secrets: BTreeMap<String, Secret>,
    scrubber: Arc<Scrubber>,
}

impl Opened {
    /// By their names.
    pub fn new(secrets: BTreeMap<String, Secret>) -> Self {
        let scrubber = Scrubber::new(secrets.iter().map(|(name, it)| (name.as_str(), &it.value)));
        Self { secrets, scrubber: Arc::new(scrubber) }
    }

    /// The secret with this name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(name)
    }

    /// Takes all of them out of texts.
    pub fn scrubber(&self) -> &Arc<Scrubber> {
        &self.scrubber
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}
