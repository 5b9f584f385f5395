//! The secrets of a namespace, opened: shared by all attempts that run for it at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use egress::{Destination, Rule};
use http::Method;

use crate::error::SignError;
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
    closed: BTreeMap<String, String>,
    scrubber: Arc<Scrubber>,
}

impl Opened {
    /// By their names.
    pub fn new(secrets: BTreeMap<String, Secret>) -> Self {
        let scrubber = Scrubber::new(secrets.iter().map(|(name, it)| (name.as_str(), &it.value)));
        Self { secrets, closed: BTreeMap::new(), scrubber: Arc::new(scrubber) }
    }

    /// And these could not be opened, for these reasons.
    pub fn with_closed(self, closed: BTreeMap<String, String>) -> Self {
        Self { closed, ..self }
    }

    /// Why there is no such secret, or why it cannot be used.
    pub(crate) fn missing(&self, name: &str) -> SignError {
        let name = name.to_owned();
        match self.closed.get(&name) {
            Some(why) => SignError::Closed { why: why.clone(), name },
            None => SignError::Unknown { name },
        }
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
        self.secrets.is_empty() && self.closed.is_empty()
    }
}
