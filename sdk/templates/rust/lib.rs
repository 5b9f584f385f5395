//! Greets somebody. Types for config and output, one function, one macro.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stateflow_plugin::{Call, Error, log};

/// What the step is given.
#[derive(Deserialize, JsonSchema)]
struct Config {
    /// Whom to greet.
    name: String,
}

/// What the step answers.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// The greeting.
    greeting: String,
}

fn run(call: &Call, config: Config) -> Result<Output, Error> {
    log::info(&format!("attempt {}", call.attempt));
    if config.name.is_empty() {
        return Err(Error::permanent("no-name", "the name is empty"));
    }
    Ok(Output { greeting: format!("Hello, {}!", config.name) })
}

stateflow_plugin::step! {
    name: "{{name}}",
    version: "1.0.0",
    description: "Greets somebody",
    run: run,
}
