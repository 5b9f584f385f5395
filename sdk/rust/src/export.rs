//! The bridge between a typed Rust function and the world `stateflow:plugin/step`.

use schemars::{JsonSchema, schema_for};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{Call, Error, bindings::stateflow::plugin::types::StepError};

/// What [`step!`](crate::step) was told about the plugin.
#[derive(Clone, Copy)]
pub struct Manifest {
    pub name: &'static str,
    pub version: &'static str,
    pub description: Option<&'static str>,
}

/// The manifest as JSON text, with the schemas of the function's types.
pub fn describe<C: JsonSchema, O: JsonSchema>(
    manifest: Manifest,
    _: fn(&Call, C) -> Result<O, Error>,
) -> String {
    json!({
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "configSchema": schema_for!(C),
        "outputSchema": schema_for!(O),
    })
    .to_string()
}

/// Runs one attempt: JSON text in, JSON text out.
pub fn run<C: DeserializeOwned, O: Serialize>(
    run: fn(&Call, C) -> Result<O, Error>,
    call: &Call,
    input: &str,
) -> Result<String, StepError> {
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
    let attempt = || {
        let config = serde_json::from_str(input).map_err(|error| {
            Error::permanent("config-invalid", format!("the config does not fit: {error}"))
        })?;
        let output = run(call, config)?;
        serde_json::to_string(&output).map_err(|error| {
            Error::permanent("output-invalid", format!("the output is not JSON: {error}"))
        })
    };
    attempt().map_err(Error::into_wit)
}

/// Makes a function the plugin of this crate: `name`, `version`, optionally `description`, and `run`.
#[macro_export]
macro_rules! step {
    (name: $name:expr, version: $version:expr, description: $text:expr, run: $run:path $(,)?) => {
        $crate::step!(@ $name, $version, ::core::option::Option::Some($text), $run);
    };
    (name: $name:expr, version: $version:expr, run: $run:path $(,)?) => {
        $crate::step!(@ $name, $version, ::core::option::Option::None, $run);
    };
    (@ $name:expr, $version:expr, $text:expr, $run:path) => {
        struct StateflowPlugin;

        impl $crate::bindings::Guest for StateflowPlugin {
            fn describe() -> ::std::string::String {
                let manifest =
                    $crate::Manifest { name: $name, version: $version, description: $text };
                $crate::describe(manifest, $run)
            }

            fn run(
                call: $crate::Call,
                input: ::std::string::String,
            ) -> ::core::result::Result<
                ::std::string::String,
                $crate::bindings::stateflow::plugin::types::StepError,
            > {
                $crate::run($run, &call, &input)
            }
        }

        $crate::bindings::export_step!(StateflowPlugin with_types_in $crate::bindings);
    };
}
