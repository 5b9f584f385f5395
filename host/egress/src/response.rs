//! What came back: status and headers at once, the body when it is asked for, under its cap and the deadline.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::destination::Destination;
use crate::error::{EgressError, Part};
use crate::meter::Slot;
use crate::secrets::Secrets;

/// Beyond what is wanted of a body's beginning, so much is read for taking out secrets that the cut would halve.
const SCRUB_MARGIN: usize = 8 * 1024;

/// A response whose body has not been read. It keeps its place among the requests under way until it is dropped.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers, without secrets.
    pub headers: HeaderMap,
    /// The facts of the call so far.
    pub receipt: Receipt,
    pub(crate) body: reqwest::Response,
    pub(crate) bounds: Bounds,
    pub(crate) _slot: Slot,
}

/// What a caller records of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The host that answered, after redirects.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its status.
    pub status: u16,
    /// For each party, the rule that allowed the last request.
    pub rules: Vec<String>,
    /// How many requests were made: one, and one more for each redirect that was followed.
    pub requests: u32,
    /// Bytes of all requests: headers and bodies.
    pub sent_bytes: u64,
    /// Bytes of the last response: headers, and as much of the body as was read.
    pub received_bytes: u64,
}

/// What holds for reading a body.
pub(crate) struct Bounds {
    pub(crate) destination: Destination,
    pub(crate) deadline: Instant,
    pub(crate) max_body_bytes: u64,
    pub(crate) header_bytes: u32,
    pub(crate) secrets: Arc<dyn Secrets>,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

impl Response {
    /// Lowers the cap of the body; it is never raised.
    pub fn lower_limit(&mut self, bytes: u64) {
        self.bounds.max_body_bytes = self.bounds.max_body_bytes.min(bytes);
    }

    /// The whole body, without secrets.
    pub async fn read(&mut self) -> Result<Vec<u8>, EgressError> {
        // A HEAD response announces the length of a body that does not come; reading decides.
        let mut bytes = Vec::new();
        let limit = self.bounds.max_body_bytes;
        while let Some(chunk) = self.chunk().await? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(EgressError::TooLarge { what: Part::ResponseBody, limit });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(self.bounds.secrets.scrub(bytes))
    }

    /// As much of the body, and whether there was more. A connection that breaks, or the deadline, ends it early.
    pub async fn read_beginning(&mut self, most: usize) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = self.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > most + SCRUB_MARGIN {
                break;
            }
        }
        let mut bytes = self.bounds.secrets.scrub(bytes);
        let truncated = bytes.len() > most;
        bytes.truncate(most);
        (bytes, truncated)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, EgressError> {
        let Bounds { destination, deadline, header_bytes, .. } = &self.bounds;
        let chunk = timeout_at(*deadline, self.body.chunk())
            .await
            .map_err(|_| EgressError::Timeout { host: destination.host() })?
            .map_err(|error| EgressError::of(error, destination, *header_bytes))?;
        self.receipt.received_bytes += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }
}

/// The headers without secrets. One that cannot be written after that is left out.
pub(crate) fn scrub(headers: &HeaderMap, secrets: &dyn Secrets) -> HeaderMap {
    let mut scrubbed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let clean = secrets.scrub(value.as_bytes().to_vec());
        if let Ok(clean) = HeaderValue::from_bytes(&clean) {
            scrubbed.append(name.clone(), clean);
        }
    }
    scrubbed
}
