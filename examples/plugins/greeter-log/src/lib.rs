//! Greets somebody and says so in the execution's log: the smallest plugin that uses something of the host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stateflow_plugin::{
    Call, Error,
    log::{self, Level},
};

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
    let attempt = call.attempt.to_string();
    log::line(Level::Info, "greeting", &[("name", &config.name), ("attempt", &attempt)]);
    if config.name.is_empty() {
        log::warn("nobody to greet");
        return Err(Error::permanent("no-name", "the name is empty"));
    }
    Ok(Output { greeting: format!("Hello, {}!", config.name) })
}

stateflow_plugin::step! {
    name: "demo/greeter-log",
    version: "1.0.0",
    description: "Greets somebody and logs it",
    run: run,
}
