//! Secrets that the caller of an egress never sees: it sends placeholders, and they are replaced on the way out.

use crate::destination::Destination;

/// Knows which placeholders stand for which secrets, and where each may go.
pub trait Secrets: Send + Sync {
    /// Replaces placeholders in what is about to be sent: a header's value, a decoded part of the path or the query, or
    /// the body. `None` if there is none. The error names a secret that may not go to this destination.
    fn swap(&self, bytes: &[u8], to: &Destination) -> Result<Option<Vec<u8>>, SecretRefused>;

    /// Takes secrets out of what came back, or out of a log line.
    fn scrub(&self, bytes: Vec<u8>) -> Vec<u8>;
}

/// A secret may not go to a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRefused {
    /// The secret's name.
    pub name: String,
}

/// For whoever has no secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn swap(&self, _: &[u8], _: &Destination) -> Result<Option<Vec<u8>>, SecretRefused> {
        Ok(None)
    }

    fn scrub(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}
