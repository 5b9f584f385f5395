//! Secrets of guests: what the holder grants, and nothing without one.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use engine::{callback::CallbackKey, capability::CapabilityKind, placeholder::Placeholders};
use secrets::{Holder, Opened, Reach, Secret, SecretValue, holder::Names};
use serde_json::{Value, json};
use stateflow_sandbox::{PluginCall, PluginReport};

use crate::{
    bench::{LIMITS, admit, call_of, output, sandbox},
    guests::step,
};

/// Asks one function for the secret `api-key`, and answers the text that comes back, `!` before it if it is an error.
fn asking(interface: &str, function: &str) -> Vec<u8> {
    let import = format!(
        r#"(import "stateflow:plugin/{interface}@1.0.0" "{function}"
            (func $ask (param i32 i32 i32)))"#
    );
    step(
        &import,
        r#"(data (i32.const 1024) "api-key")"#,
        "(call $ask (i32.const 1024) (i32.const 7) (i32.const 512))
         (call $say (select (i32.const 33) (i32.const 46) (i32.load8_u (i32.const 512)))
             (i32.load (i32.const 516)) (i32.load (i32.const 520)))",
    )
}

fn holder(reach: Reach) -> Arc<Holder> {
    let value = SecretValue::new("correct horse".into()).unwrap();
    let secret = Secret { value, rules: vec!["https://api.example.com".parse().unwrap()] };
    let opened = Opened::new(BTreeMap::from([("api-key".to_owned(), secret)]));
    let placeholders = Placeholders::of(CallbackKey::new([7; 32]), uuid::Uuid::nil());
    Arc::new(Holder::new(placeholders, Arc::new(opened), reach))
}

async fn ask(
    interface: &str,
    function: &str,
    reach: Option<Reach>,
) -> (PluginReport, BTreeSet<CapabilityKind>) {
    let sandbox = sandbox();
    let admitted = admit(&sandbox, &asking(interface, function)).await;
    let call = PluginCall { holder: reach.map(holder), ..call_of(Value::Null, LIMITS) };
    (sandbox.call(&admitted.prepared, call).await, admitted.capabilities)
}

fn said(report: &PluginReport) -> &str {
    output(report).as_str().unwrap()
}

#[tokio::test]
async fn a_guest_is_given_a_text_that_stands_for_its_secret() {
    let granted = Some(Reach::of_plugin(["api-key".to_owned()]));
    let (report, kinds) = ask("secrets", "placeholder", granted).await;
    assert!(said(&report).starts_with(".stateflow-secret."), "{}", said(&report));
    assert!(!json!(report.report.logs).to_string().contains("correct horse"));
    assert_eq!(kinds, BTreeSet::from([CapabilityKind::Secret]));
}

#[tokio::test]
async fn what_was_not_granted_is_refused_in_words() {
    for granted in [None, Some(Reach::default()), Some(Reach::of_plugin(["other".to_owned()]))] {
        let (report, _) = ask("secrets", "placeholder", granted).await;
        assert!(said(&report).starts_with('!'), "{}", said(&report));
    }
}

#[tokio::test]
async fn a_secret_is_seen_only_where_that_was_granted_by_itself() {
    let (report, kinds) =
        ask("revealing", "reveal", Some(Reach::of_plugin(["api-key".to_owned()]))).await;
    assert!(said(&report).starts_with('!'), "{}", said(&report));
    assert_eq!(kinds, BTreeSet::from([CapabilityKind::Reveal]));
    let (report, _) =
        ask("revealing", "reveal", Some(Reach { reveal: Names::All, ..Reach::default() })).await;
    assert_eq!(said(&report), ".correct horse");
}
