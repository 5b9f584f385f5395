//! The built-in step types against a real server on this machine.

#![expect(
    clippy::unwrap_used,
    reason = "a test's server and its requests may panic like the tests themselves"
)]

mod http_config;
mod http_egress;
mod http_failures;
mod http_limits;
mod http_requests;
mod http_responses;
mod log;
mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use egress::{Egress, EgressSettings, NoSecrets, Private, Secrets};
use engine::attempt::{AttemptContext, AttemptReport, Outcome};
use engine::failure::Failure;
use engine::trace::TraceParent;
use serde_json::Value;
use stateflow_native::{AnyHost, HttpSettings, NativeSteps};
use uuid::Uuid;

/// The second attempt of a step.
fn attempt() -> AttemptContext {
    AttemptContext {
        execution_id: Uuid::from_u128(7),
        items: Vec::new(),
        namespace: "default".into(),
        workflow: "orders".into(),
        step_id: "charge".into(),
        attempt: 2,
        trace: TraceParent::of_execution(Uuid::from_u128(7)),
    }
}

fn steps() -> NativeSteps {
    steps_with(Private::loopback())
}

fn steps_with(private: Private) -> NativeSteps {
    let grants = Arc::new(AnyHost::and(private));
    let settings = HttpSettings { max_response_bytes: 1000, grants };
    NativeSteps::new(Egress::new(EgressSettings::default()).unwrap(), settings)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn no_secrets() -> Arc<dyn Secrets> {
    Arc::new(NoSecrets)
}

async fn run(step_type: &str, config: Value) -> AttemptReport {
    steps().get(step_type).unwrap().run(&attempt(), soon(), config, no_secrets()).await
}

async fn http(config: Value) -> Result<Value, Failure> {
    match run("http", config).await.outcome {
        Outcome::Succeeded(output) => Ok(output),
        Outcome::Failed(failure) => Err(failure),
        Outcome::Suspended(_) => panic!("no native step suspends itself"),
    }
}

#[test]
fn the_registry_knows_its_step_types_by_name() {
    let steps = steps();
    assert_eq!(steps.names().collect::<Vec<_>>(), ["http", "log"]);
    assert!(steps.iter().all(|step| steps.get(step.step_type()).is_some()));
    assert!(steps.get("ftp").is_none());
}
