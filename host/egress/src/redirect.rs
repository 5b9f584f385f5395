//! What a redirect leads to, and what may go along.

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, LOCATION, PROXY_AUTHORIZATION};
use http::{HeaderMap, Method, StatusCode};

use crate::destination::Destination;
use crate::error::EgressError;
use crate::secrets::{Outlet, Secrets, Written};
use crate::swap;

/// One request of a chain, with placeholders where secrets go.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) destination: Destination,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Describe a body; they go with it.
const BODY_HEADERS: [&str; 5] =
    ["content-encoding", "content-language", "content-length", "content-location", "content-type"];

impl Hop {
    /// The request that a response asks for; `None` if it is no redirect, or leads to nothing that can be requested:
    /// then the response itself is the answer.
    pub(crate) fn next(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        secrets: &dyn Secrets,
    ) -> Result<Option<Self>, EgressError> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location =
            headers.get(LOCATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let joined = location.and_then(|location| self.destination.url().join(location).ok());
        let destination = joined.and_then(|url| Destination::parse(url.as_str()).ok());
        let Some(destination) = destination else { return Ok(None) };
        let mut next = Self {
            method: self.method.clone(),
            destination,
            headers: self.headers.clone(),
            body: self.body.clone(),
        };
        if becomes_get(status, &self.method) {
            next.method = Method::GET;
            next.body = Bytes::new();
            for name in BODY_HEADERS {
                next.headers.remove(name);
            }
        }
        if !next.destination.is_same_origin(&self.destination) {
            next.leave_credentials_behind(secrets)?;
        }
        Ok(Some(next))
    }

    /// Whoever redirects chooses the next destination, so what was meant for the first one stays there. A body cannot
    /// be left out without another meaning, so that is an error.
    fn leave_credentials_behind(&mut self, secrets: &dyn Secrets) -> Result<(), EgressError> {
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            self.headers.remove(name);
        }
        let outlet = Outlet {
            destination: &self.destination,
            method: &self.method,
            written: Written::Plain,
        };
        let holds = |bytes: &[u8]| !matches!(secrets.swap(bytes, &outlet), Ok(None));
        let secret: Vec<_> = self
            .headers
            .iter()
            .filter(|(_, value)| holds(value.as_bytes()))
            .map(|(name, _)| name.clone())
            .collect();
        for name in secret {
            self.headers.remove(name);
        }
        match secrets.swap(&self.body, &outlet) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => {
                Err(EgressError::SecretRedirected { destination: self.destination.origin() })
            }
            Err(refused) => Err(swap::secret(refused, &self.destination)),
        }
    }
}

/// As browsers do it: <https://fetch.spec.whatwg.org/#http-redirect-fetch>.
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => *method == Method::POST,
        303 => !matches!(*method, Method::GET | Method::HEAD),
        _ => false,
    }
}
