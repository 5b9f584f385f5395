//! The `config` of an `http` step.

use std::collections::BTreeMap;

use engine::failure::Failure;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::scalar::Scalar;
use super::status::ExpectedStatus;
use crate::invalid;

/// No step follows more redirects than this.
const MAX_REDIRECTS: u8 = 10;

/// Redirects that a step follows when it does not say.
const DEFAULT_REDIRECTS: u8 = 5;

/// One HTTP request, and what to make of its response.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("dependentRequired" = { "bodyFormat": ["body"] }))]
pub(super) struct HttpConfig {
    /// Where to send the request: an absolute `http` or `https` URL.
    #[schemars(length(min = 1))]
    pub(super) url: String,
    /// The request's method.
    #[serde(default)]
    pub(super) method: HttpMethod,
    /// Request headers. `Idempotency-Key` and `traceparent` are sent in any case; naming them here replaces their values.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Scalar>,
    /// Query parameters, appended to those in `url`.
    #[serde(default)]
    pub(super) query: BTreeMap<String, Scalar>,
    /// The request's body. Absent or null: none is sent.
    #[serde(default)]
    pub(super) body: Option<Value>,
    /// How `body` is written.
    #[serde(default)]
    pub(super) body_format: BodyFormat,
    /// The statuses that mean success: codes and classes such as `"2xx"`.
    #[serde(default = "any_success")]
    #[schemars(length(min = 1))]
    pub(super) expect_status: Vec<ExpectedStatus>,
    /// Upper bound of the response's body in bytes, never above the operator's (1 MiB unless set).
    #[serde(default)]
    #[schemars(range(min = 1))]
    max_response_bytes: Option<u64>,
    /// How many redirects are followed; 0 makes a redirect the response.
    #[serde(default = "default_redirects")]
    #[schemars(range(max = 10))]
    max_redirects: u8,
}

/// The methods that a step may use. `CONNECT` and `TRACE` are for proxies.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub(super) enum HttpMethod {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum BodyFormat {
    /// Any JSON value as `application/json`.
    #[default]
    Json,
    /// A string as `text/plain`.
    Text,
    /// An object of plain values as `application/x-www-form-urlencoded`.
    Form,
}

impl HttpConfig {
    pub(super) fn expects(&self, status: StatusCode) -> bool {
        self.expect_status.iter().any(|expected| expected.matches(status))
    }

    /// The bound of the response's body: the step's own, or the operator's.
    pub(super) fn response_limit(&self, allowed: u64) -> Result<u64, Failure> {
        match self.max_response_bytes {
            Some(wanted) if wanted > allowed => Err(invalid(format!(
                "`maxResponseBytes` is {wanted}, but the operator allows at most {allowed}"
            ))),
            wanted => Ok(wanted.unwrap_or(allowed)),
        }
    }

    pub(super) fn redirects(&self) -> Result<u8, Failure> {
        if self.max_redirects > MAX_REDIRECTS {
            let wanted = self.max_redirects;
            return Err(invalid(format!(
                "`maxRedirects` is {wanted}, but at most {MAX_REDIRECTS} is possible"
            )));
        }
        Ok(self.max_redirects)
    }
}

impl From<HttpMethod> for Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Get => Self::GET,
            HttpMethod::Head => Self::HEAD,
            HttpMethod::Post => Self::POST,
            HttpMethod::Put => Self::PUT,
            HttpMethod::Patch => Self::PATCH,
            HttpMethod::Delete => Self::DELETE,
            HttpMethod::Options => Self::OPTIONS,
        }
    }
}

fn any_success() -> Vec<ExpectedStatus> {
    vec![ExpectedStatus::Class(2)]
}

fn default_redirects() -> u8 {
    DEFAULT_REDIRECTS
}
