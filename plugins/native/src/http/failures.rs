//! What a request that got no response, or not all of it, is reported as.
//!
//! The URL stays out of every message: it may hold a secret.

use std::error::Error;

use engine::failure::{ErrorCode, Failure};

use crate::invalid;

/// The failure behind an error of the HTTP client.
pub(super) fn of(error: reqwest::Error) -> Failure {
    let host = error.url().and_then(|url| url.host_str()).unwrap_or("the server").to_owned();
    let error = error.without_url();
    let cause = root_cause(&error);
    if error.is_builder() {
        return invalid(format!("the step's request cannot be sent: {cause}"));
    }
    if causes(&error).any(is_tls) {
        return Failure::new(
            ErrorCode::HttpTls,
            format!("no secure connection to {host}: {cause}"),
        );
    }
    let message = if error.is_connect() {
        format!("cannot connect to {host}: {cause}")
    } else {
        format!("the connection to {host} broke: {cause}")
    };
    Failure::new(ErrorCode::HttpConnect, message)
}

/// The error itself, what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // An I/O error leaves what it was made of out of its chain of sources.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| is_tls(inner))
}
