//! The step type `http`: one request, one response.
//!
//! ```text
//! config -> request (headers, body) -> egress (policy, redirects) -> response -> output
//!                                                                        |
//!                                                                 unexpected status
//! ```

mod config;
mod request;
mod response;
mod retry_after;
mod scalar;
mod status;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use egress::{Caps, Egress, Grant, How, Meter, Private, Secrets};
use engine::attempt::{AttemptContext, AttemptReport};
use engine::failure::Failure;
use schemars::schema_for;
use serde_json::Value;

use crate::{NativeStep, read_config};

/// What a step's request may need beyond what a guest's may: a definition has up to 1 MiB, and so has an input, and the
/// step's own 32 KiB of headers are joined by those that every attempt sends.
pub const HTTP_CAPS: Caps = Caps {
    requests: 20,
    at_once: 4,
    request_bytes: 16 << 20,
    response_bytes: 64 << 20,
    header_bytes: 64 << 10,
};

/// Who may call what.
pub trait Grants: Send + Sync + fmt::Debug {
    /// What the steps of a namespace may do.
    fn for_namespace(&self, namespace: &str) -> Arc<Grant>;
}

/// The same for all namespaces: any public host, and the ranges that the operator opened.
#[derive(Clone, Debug)]
pub struct AnyHost(Arc<Grant>);

impl AnyHost {
    /// With these ranges beyond the public internet.
    pub fn and(private: Private) -> Self {
        Self(Arc::new(Grant::any_host(private, HTTP_CAPS)))
    }
}

impl Default for AnyHost {
    fn default() -> Self {
        Self::and(Private::default())
    }
}

impl Grants for AnyHost {
    fn for_namespace(&self, _: &str) -> Arc<Grant> {
        self.0.clone()
    }
}

/// What an operator sets for all `http` steps.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Upper bound of a response's body; a step may ask for less, never for more.
    pub max_response_bytes: u64,
    /// Who may call what.
    pub grants: Arc<dyn Grants>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { max_response_bytes: 1024 * 1024, grants: Arc::new(AnyHost::default()) }
    }
}

/// Makes one HTTP request.
pub(crate) struct Http {
    settings: HttpSettings,
    egress: Egress,
}

impl Http {
    pub(crate) fn new(egress: Egress, settings: HttpSettings) -> Self {
        Self { settings, egress }
    }

    async fn attempt(
        &self,
        attempt: &AttemptContext,
        deadline: Instant,
        config: Value,
        secrets: Arc<dyn Secrets>,
    ) -> Result<Value, Failure> {
        let config: config::HttpConfig = read_config(config)?;
        let limit = config.response_limit(self.settings.max_response_bytes)?;
        let redirects = config.redirects()?;
        let request = request::build(&config, attempt)?;
        let grant = self.settings.grants.for_namespace(&attempt.namespace);
        let how = How {
            redirects,
            deadline: deadline.into(),
            max_response_bytes: limit,
            secrets,
            meter: Meter::new(grant.caps()),
            trace: Some(attempt.trace),
        };
        let answer = self.egress.send(&attempt.namespace, &grant, request, how).await?;
        if !config.expects(answer.status) {
            return Err(response::unexpected(answer).await);
        }
        response::output(answer).await
    }
}

#[async_trait]
impl NativeStep for Http {
    fn step_type(&self) -> &'static str {
        "http"
    }

    fn config_schema(&self) -> Value {
        schema_for!(config::HttpConfig).into()
    }

    async fn run(
        &self,
        attempt: &AttemptContext,
        deadline: Instant,
        config: Value,
        secrets: Arc<dyn Secrets>,
    ) -> AttemptReport {
        AttemptReport::of(self.attempt(attempt, deadline, config, secrets).await)
    }
}
