//! The secrets within an attempt's reach, and all that can be done with one: send it, sign with it, reveal it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use egress::secrets::Outlet;
use egress::{SecretRefused, Secrets};
use engine::placeholder::{Placeholders, may_stand_in};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::error::SignError;
use crate::jwt::{self, JwtAlgorithm};
use crate::opened::{Opened, Secret};
use crate::scrubber::Scrubber;
use crate::secret::SecretValue;
use crate::sigv4::{self, SigV4Request};
use crate::swap;

/// So much is signed at once.
pub const MAX_SIGNED_BYTES: usize = 1 << 20;

/// Some secrets of a namespace, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// None of them.
    #[default]
    None,
    /// Those that are named.
    Only(BTreeSet<String>),
    /// All of them.
    All,
}

impl Names {
    fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, other) | (other, Self::None) => other,
            (Self::Only(mut names), Self::Only(more)) => {
                names.extend(more);
                Self::Only(names)
            }
        }
    }

    fn have(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Only(names) => names.contains(name),
            Self::All => true,
        }
    }
}

/// What a step may do with which secrets. Nothing, unless it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Send them, by placeholder, to their destinations.
    pub send: Names,
    /// Sign with them.
    pub sign: Names,
    /// See them.
    pub reveal: Names,
}

impl Reach {
    /// What a native step may do: send any of them where they may go.
    pub fn of_native_step() -> Self {
        Self { send: Names::All, ..Self::default() }
    }

    /// What a plugin may do that was granted nothing of its own: send what the workflow's author put into its config.
    pub fn of_config(placeholders: &Placeholders, config: &Value) -> Self {
        if !may_stand_in(config) {
            return Self::default();
        }
        let found = placeholders.find(config.to_string().as_bytes());
        let names = found.into_iter().map(|found| found.name).collect();
        Self { send: Names::Only(names), ..Self::default() }
    }

    /// What a plugin may do that was granted these: send them and sign with them, but not see them.
    pub fn of_plugin(granted: impl IntoIterator<Item = String>) -> Self {
        let names = Names::Only(granted.into_iter().collect());
        Self { send: names.clone(), sign: names, reveal: Names::None }
    }
}

/// An attempt's secrets.
#[derive(Debug)]
pub struct Holder {
    placeholders: Placeholders,
    opened: Arc<Opened>,
    reach: Reach,
    revealed: Mutex<BTreeSet<String>>,
}

impl Holder {
    /// For an attempt of the execution whose placeholders these are.
    pub fn new(placeholders: Placeholders, opened: Arc<Opened>, reach: Reach) -> Self {
        Self { placeholders, opened, reach, revealed: Mutex::default() }
    }

    /// The same secrets, of which only those are sent that may be.
    #[must_use]
    pub fn narrowed(&self, may: impl Fn(&str) -> bool) -> Self {
        let mut reach = self.reach.clone();
        if let Names::Only(names) = &mut reach.send {
            names.retain(|name| may(name));
        }
        Self::new(self.placeholders, Arc::clone(&self.opened), reach)
    }

    /// The same secrets, with this reach beside the one that there is.
    #[must_use]
    pub fn with(&self, more: Reach) -> Self {
        let reach = Reach {
            send: self.reach.send.clone().and(more.send),
            sign: self.reach.sign.clone().and(more.sign),
            reveal: self.reach.reveal.clone().and(more.reveal),
        };
        Self::new(self.placeholders, Arc::clone(&self.opened), reach)
    }

    /// What stands for a secret until it is sent. There is one for any name that may be sent.
    pub fn placeholder(&self, name: &str) -> Result<String, SignError> {
        self.get(name, &self.reach.send, "sending it")?;
        Ok(self.placeholders.make(name))
    }

    /// Whether all placeholders in a resolved config stand for secrets that may be sent.
    pub fn check(&self, config: &Value) -> Result<(), SignError> {
        if !may_stand_in(config) {
            return Ok(());
        }
        let text = config.to_string();
        self.placeholders
            .find(text.as_bytes())
            .iter()
            .try_for_each(|it| self.get(&it.name, &self.reach.send, "sending it").map(|_| ()))
    }

    /// HMAC-SHA256 (RFC 2104) of some data under a secret.
    pub fn hmac_sha256(&self, name: &str, data: &[u8]) -> Result<[u8; 32], SignError> {
        let secret = self.signer(name, data.len())?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.value.expose().as_bytes())
            .expect("a key may have any length");
        mac.update(data);
        Ok(mac.finalize().into_bytes().into())
    }

    /// A JSON Web Token (RFC 7519): the secret is the HMAC key, or a private key in PEM.
    pub fn jwt(
        &self,
        name: &str,
        algorithm: JwtAlgorithm,
        claims: &Value,
        key_id: Option<&str>,
    ) -> Result<String, SignError> {
        let secret = self.signer(name, engine::expression::json_size(claims))?;
        jwt::sign(secret.value.expose(), algorithm, claims, key_id)
            .map_err(|fault| SignError::Malformed { name: name.to_owned(), fault })
    }

    /// The headers that sign a request for AWS. The secret is the secret access key, and one of its destinations has
    /// to allow the request.
    pub fn aws_sigv4(
        &self,
        name: &str,
        request: &SigV4Request<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<(&'static str, String)>, SignError> {
        let secret = self.signer(name, request.body.len())?;
        let malformed = |fault| SignError::Malformed { name: name.to_owned(), fault };
        let to = request.destination().map_err(malformed)?;
        let method = request.method().map_err(malformed)?;
        if !secret.may_go_to(&to, &method) {
            let fault = format!("none of its destinations allows {method} to {}", to.origin());
            return Err(malformed(fault));
        }
        sigv4::sign(secret.value.expose(), request, &to, now).map_err(malformed)
    }

    /// The value itself. Noted, in the process's log and in [`Holder::revealed`].
    pub fn reveal(&self, name: &str) -> Result<SecretValue, SignError> {
        let secret = self.get(name, &self.reach.reveal, "revealing it")?;
        tracing::warn!(secret = name, "a secret was revealed to a plugin");
        let mut revealed = self.revealed.lock().unwrap_or_else(PoisonError::into_inner);
        revealed.insert(name.to_owned());
        Ok(secret.value.clone())
    }

    /// The secrets that were revealed so far.
    pub fn revealed(&self) -> Vec<String> {
        let revealed = self.revealed.lock().unwrap_or_else(PoisonError::into_inner);
        revealed.iter().cloned().collect()
    }

    /// Takes all secrets of the namespace out of texts, those beyond this attempt's reach too.
    pub fn scrubber(&self) -> &Arc<Scrubber> {
        self.opened.scrubber()
    }

    pub(crate) fn placeholders(&self) -> &Placeholders {
        &self.placeholders
    }

    /// What a placeholder stands for, if it may go there.
    pub(crate) fn value_for(&self, name: &str, to: &Outlet<'_>) -> Result<&str, SecretRefused> {
        let secret = self.opened.get(name).filter(|_| self.reach.send.have(name));
        let secret = secret.filter(|secret| secret.may_go_to(to.destination, to.method));
        let refused = || SecretRefused { name: name.to_owned() };
        Ok(secret.ok_or_else(refused)?.value.expose())
    }

    fn signer(&self, name: &str, bytes: usize) -> Result<&Secret, SignError> {
        if bytes > MAX_SIGNED_BYTES {
            return Err(SignError::TooLarge { bytes, limit: MAX_SIGNED_BYTES });
        }
        self.get(name, &self.reach.sign, "signing")
    }

    /// A name that is not granted is not told whether there is such a secret.
    fn get(&self, name: &str, granted: &Names, what: &'static str) -> Result<&Secret, SignError> {
        if !granted.have(name) {
            return Err(SignError::NotAllowed { name: name.to_owned(), what });
        }
        self.opened.get(name).ok_or_else(|| self.opened.missing(name))
    }
}

impl Secrets for Holder {
    fn swap(&self, bytes: &[u8], to: &Outlet<'_>) -> Result<Option<Vec<u8>>, SecretRefused> {
        swap::swap(self, bytes, to)
    }

    fn scrub(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.scrubber().bytes(&bytes).unwrap_or(bytes)
    }
}

#[cfg(test)]
mod tests;
