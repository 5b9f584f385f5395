//! The step type `http`: one request, one response.
//!
//! ```text
//! config -> request (headers, body) -> client (redirects) -> response -> output
//!                                         |                     |
//!                                      failures             unexpected status
//! ```

mod client;
mod config;
mod failures;
mod request;
mod response;
mod retry_after;
mod scalar;
mod status;

use std::time::Duration;

use async_trait::async_trait;
use engine::attempt::{AttemptContext, AttemptReport};
use engine::failure::Failure;
use schemars::schema_for;
use serde_json::Value;

use crate::{NativeStep, read_config};

/// What an operator sets for all `http` steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Upper bound of a response's body; a step may ask for less, never for more.
    pub max_response_bytes: u64,
    /// Upper bound of a connection's set-up. The attempt as a whole is bounded by its `timeoutMs`.
    pub connect_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { max_response_bytes: 1024 * 1024, connect_timeout: Duration::from_secs(10) }
    }
}

/// Makes one HTTP request.
pub(crate) struct Http {
    settings: HttpSettings,
    clients: client::Clients,
}

impl Http {
    pub(crate) fn new(settings: HttpSettings) -> Result<Self, Failure> {
        let clients = client::Clients::new(settings.connect_timeout)?;
        Ok(Self { settings, clients })
    }

    async fn attempt(&self, attempt: &AttemptContext, config: Value) -> Result<Value, Failure> {
        let config: config::HttpConfig = read_config(config)?;
        let limit = config.response_limit(self.settings.max_response_bytes)?;
        let client = self.clients.following(config.redirects()?);
        let request = request::build(client, &config, attempt)?;
        let answer = client.execute(request).await.map_err(failures::of)?;
        if !config.expects(answer.status()) {
            return Err(response::unexpected(answer).await);
        }
        response::output(answer, limit).await
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

    async fn run(&self, attempt: &AttemptContext, config: Value) -> AttemptReport {
        AttemptReport::of(self.attempt(attempt, config).await)
    }
}
