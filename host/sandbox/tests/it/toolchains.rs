//! Guests from real toolchains, built by the scripts that authors use.

use std::collections::BTreeSet;

use engine::capability::CapabilityKind;
use std::{path::PathBuf, process::Command};

use engine::failure::{ErrorCode, RetryAdvice};
use serde_json::json;
use stateflow_sandbox::PluginKind;

use crate::bench::{LIMITS, admit, call_of, code, details, failure, output, sandbox};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn built(script: &str, source: &str, name: &str) -> Vec<u8> {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let done = Command::new("bash")
        .arg(root().join("scripts").join(script))
        .arg(root().join(source))
        .arg(&out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(out).unwrap()
}

#[tokio::test]
async fn a_c_program_without_any_sdk_is_a_plugin() {
    let wasm = built("build-c-guest.sh", "examples/plugins/echo-c/echo.c", "echo-c.wasm");
    let sandbox = sandbox();
    let admitted = admit(&sandbox, &wasm).await;
    assert_eq!(admitted.kind, PluginKind::CommandP1);
    let config = json!({"greeting": "grüezi", "list": [1, 2, 3]});
    let report = sandbox.call(&admitted.prepared, call_of(config.clone(), LIMITS)).await;
    assert_eq!(output(&report), &config);
}

#[tokio::test]
async fn a_rust_plugin_describes_itself_and_its_types() {
    let wasm = testing::guests::example("slugify");
    let sandbox = sandbox();
    let admitted = admit(&sandbox, &wasm).await;
    assert_eq!(admitted.kind, PluginKind::Step);
    let manifest = admitted.manifest.unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("demo/slugify", "1.0.0"));
    assert_eq!(manifest.config_schema.unwrap()["required"], json!(["title"]));
    assert_eq!(manifest.output_schema.unwrap()["properties"]["slug"]["type"], "string");

    let title = json!({"title": "  Grüße aus KÖLN!"});
    let report = sandbox.call(&admitted.prepared, call_of(title, LIMITS)).await;
    assert_eq!(output(&report), &json!({"slug": "grüße-aus-köln"}));

    let report = sandbox.call(&admitted.prepared, call_of(json!({"title": 7}), LIMITS)).await;
    assert_eq!(code(&report), Some(ErrorCode::PluginError));
    assert_eq!(failure(&report).advice, RetryAdvice::Permanent);
    assert_eq!(details(&report)["code"], "config-invalid");
}

#[tokio::test]
async fn a_rust_plugin_logs_with_fields() {
    let wasm = testing::guests::example("greeter-log");
    let sandbox = sandbox();
    let admitted = admit(&sandbox, &wasm).await;
    assert_eq!(admitted.capabilities, BTreeSet::from([CapabilityKind::Log]));
    let report = sandbox.call(&admitted.prepared, call_of(json!({"name": "Ada"}), LIMITS)).await;
    assert_eq!(output(&report), &json!({"greeting": "Hello, Ada!"}));
    let line = &report.report.logs[0];
    assert_eq!(line.message, "greeting");
    assert_eq!(line.fields["name"], "Ada");
    assert_eq!(line.fields["attempt"], "1");
}
