//! Which headers a caller may set, and how many bytes they are.

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName};

use crate::destination::Destination;
use crate::error::EgressError;

/// They frame the message or belong to one connection: a caller that set them could smuggle a second request.
const RESERVED: [&str; 10] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Takes out what the client itself writes, if it says the same; refuses it if it says something else.
///
/// A `Host` of the caller's own would reach another site behind the same address than the one that the rules judged.
pub(crate) fn settle(
    headers: &mut HeaderMap,
    to: &Destination,
    body_bytes: usize,
) -> Result<(), EgressError> {
    if let Some(name) = RESERVED.iter().find(|name| headers.contains_key(**name)) {
        return Err(reserved(name));
    }
    let named = to.url().port().map_or_else(|| to.host(), |port| format!("{}:{port}", to.host()));
    settle_one(headers, &HOST, &[&named, &format!("{}:{}", to.host(), to.port())])?;
    settle_one(headers, &CONTENT_LENGTH, &[&body_bytes.to_string()])
}

fn settle_one(
    headers: &mut HeaderMap,
    name: &HeaderName,
    expected: &[&str],
) -> Result<(), EgressError> {
    let agrees = headers.get_all(name).iter().all(|value| {
        expected.iter().any(|expected| value.as_bytes().eq_ignore_ascii_case(expected.as_bytes()))
    });
    headers.remove(name);
    if agrees { Ok(()) } else { Err(reserved(name.as_str())) }
}

fn reserved(name: &str) -> EgressError {
    EgressError::Invalid {
        message: format!("the header `{name}` is one that only the client sets"),
    }
}

/// Names and values.
pub(crate) fn size(headers: &HeaderMap) -> u64 {
    headers.iter().map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}
