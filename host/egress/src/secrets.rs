//! Secrets that the caller of an egress never sees: it sends placeholders, and they are replaced on the way out.

use http::Method;

use crate::destination::Destination;

/// Where something is about to be sent, and how it is written there.
#[derive(Clone, Copy, Debug)]
pub struct Outlet<'a> {
    /// The request's destination, before secrets are in it.
    pub destination: &'a Destination,
    /// The request's method.
    pub method: &'a Method,
    /// What a secret's characters have to be written as.
    pub written: Written,
}

/// How text is written in a part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As it is.
    Plain,
    /// Within the strings of JSON.
    Json,
    /// Within the fields of a form.
    Form,
}

/// Knows which placeholders stand for which secrets, and where each may go.
pub trait Secrets: Send + Sync {
    /// Replaces placeholders in what is about to be sent: a header's value, a decoded part of the path or the query, or
    /// the body. `None` if there is none. The error names a secret that may not go to this destination.
    fn swap(&self, bytes: &[u8], to: &Outlet<'_>) -> Result<Option<Vec<u8>>, SecretRefused>;

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
    fn swap(&self, _: &[u8], _: &Outlet<'_>) -> Result<Option<Vec<u8>>, SecretRefused> {
        Ok(None)
    }

    fn scrub(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }
}
