//! The built-in step types from outside.

mod http;
mod http_failures;
mod http_limits;
mod log;
mod server;

use engine::attempt::{AttemptContext, AttemptReport};
use engine::failure::Failure;
use serde_json::Value;
use stateflow_native::{HttpSettings, NativeSteps};
use uuid::Uuid;

fn attempt() -> AttemptContext {
    AttemptContext {
        execution_id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        namespace: "default".into(),
        workflow: "orders".into(),
        step_id: "charge".into(),
        attempt: 2,
    }
}

async fn run_with(settings: HttpSettings, step_type: &str, config: Value) -> AttemptReport {
    let steps = NativeSteps::new(settings).unwrap();
    steps.get(step_type).unwrap().run(&attempt(), config).await
}

async fn http(config: Value) -> Result<Value, Failure> {
    run_with(HttpSettings::default(), "http", config).await.result
}

async fn http_failure(config: Value) -> Failure {
    http(config).await.expect_err("the step fails")
}

#[test]
fn the_step_types_are_named_in_order_and_have_strict_schemas() {
    let steps = NativeSteps::new(HttpSettings::default()).unwrap();
    assert_eq!(steps.names().collect::<Vec<_>>(), ["http", "log"]);
    for name in ["http", "log"] {
        let schema = steps.get(name).unwrap().config_schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false, "{schema:#}");
    }
    assert!(steps.get("ftp").is_none());
}
