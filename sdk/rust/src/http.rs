//! Requests to what the plugin was granted. A redirect is an answer like any other.

use std::time::Duration;

use crate::Error;
use crate::bindings::stateflow::plugin::http::{self, Error as Refusal};
pub use crate::bindings::stateflow::plugin::http::{Request, Response};

/// Gets a URL.
pub fn get(url: &str) -> Result<Response, Error> {
    send(&request("GET", url))
}

/// Posts a body of this type.
pub fn post(url: &str, content_type: &str, body: Vec<u8>) -> Result<Response, Error> {
    let headers = vec![("content-type".to_owned(), content_type.to_owned())];
    send(&Request { headers, body: Some(body), ..request("POST", url) })
}

/// A request without headers and body, to be filled in.
pub fn request(method: &str, url: &str) -> Request {
    Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        timeout_ms: None,
    }
}

/// Makes a request. What did not get through may get through another time, and is retryable; what was not let out will
/// not be, and is permanent.
pub fn send(request: &Request) -> Result<Response, Error> {
    http::send(request).map_err(|refusal| match refusal {
        Refusal::Denied(why) => Error::permanent("request-denied", why),
        Refusal::Invalid(why) => Error::permanent("request-invalid", why),
        Refusal::TooLarge(most) => Error::permanent("too-large", format!("at most {most} bytes")),
        Refusal::TooMany(most) => Error::permanent("too-many", format!("at most {most} requests")),
        Refusal::Failed(why) => Error::retryable("request-failed", why),
        Refusal::Timeout => Error::retryable("request-timeout", "there was no answer in time"),
    })
}

impl Request {
    /// Waits no longer than this; the attempt's own end comes first in any case.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }
}
