#![doc = include_str!("../README.md")]

mod http;
mod log;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use egress::{Egress, Secrets};
use engine::attempt::{AttemptContext, AttemptReport};
use engine::failure::{ErrorCode, Failure};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use http::{AnyHost, Grants, HTTP_CAPS, HttpSettings};

/// A built-in step type.
#[async_trait]
pub trait NativeStep: Send + Sync {
    /// The `type` that a definition names it by.
    fn step_type(&self) -> &'static str;

    /// The JSON Schema (2020-12) of its resolved `config`, generated from the config's Rust type.
    fn config_schema(&self) -> Value;

    /// Makes one attempt. Cancellation safe: the future may be dropped at any point, and whatever I/O is under
    /// way goes with it. Nothing that it begins lasts beyond the deadline; the caller stops it there in any case.
    /// Where the config has placeholders, `secrets` knows what they stand for; they are replaced only on the wire.
    async fn run(
        &self,
        attempt: &AttemptContext,
        deadline: Instant,
        config: Value,
        secrets: Arc<dyn Secrets>,
    ) -> AttemptReport;
}

/// The built-in step types by name.
#[derive(Clone)]
pub struct NativeSteps {
    steps: BTreeMap<&'static str, Arc<dyn NativeStep>>,
}

impl NativeSteps {
    /// All of them. Their requests leave by this way.
    pub fn new(egress: Egress, http: HttpSettings) -> Self {
        let all: [Arc<dyn NativeStep>; 2] =
            [Arc::new(http::Http::new(egress, http)), Arc::new(log::Log)];
        Self { steps: all.into_iter().map(|step| (step.step_type(), step)).collect() }
    }

    /// The step type with this name.
    pub fn get(&self, step_type: &str) -> Option<&Arc<dyn NativeStep>> {
        self.steps.get(step_type)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn NativeStep>> {
        self.steps.values()
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.steps.keys().copied()
    }
}

impl std::fmt::Debug for NativeSteps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// A resolved `config` as a step type's own type; the failure names the field at fault.
fn read_config<T: DeserializeOwned>(config: Value) -> Result<T, Failure> {
    serde_path_to_error::deserialize(config).map_err(|error| {
        let field = error.path().to_string();
        let cause = error.inner();
        invalid(if field == "." {
            format!("the step's config is not usable: {cause}")
        } else {
            format!("the step's config is not usable: `{field}`: {cause}")
        })
    })
}

/// A fault in the step's config that no retry can heal.
fn invalid(message: impl Into<String>) -> Failure {
    Failure::permanent(ErrorCode::ConfigInvalid, message)
}
