//! Secrets of guests: what the holder grants, and nothing without one.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use engine::{callback::CallbackKey, capability::CapabilityKind, placeholder::Placeholders};
use secrets::{Holder, Opened, Reach, Secret, SecretValue, holder::Names};
use serde_json::{Value, json};
use stateflow_sandbox::{PluginCall, PluginReport};
use wit_component::StringEncoding;
use wit_parser::Resolve;

use crate::{
    bench::{LIMITS, admit, call_of, output, sandbox},
    guests::wat,
};

const WIT: &str = include_str!("../../../../sdk/wit/v1/stateflow-plugin.wit");

/// Asks one function for the secret `api-key`, and answers the text that comes back, `!` before it if it is an error.
fn asking(interface: &str, function: &str) -> Vec<u8> {
    let mut core = wat(&format!(
        r#"(module
            (import "stateflow:plugin/{interface}@1.0.0" "{function}"
                (func $ask (param i32 i32 i32)))
            (memory (export "memory") 1)
            (global $heap (mut i32) (i32.const 8192))
            (data (i32.const 900) "{{\"name\":\"demo/ask\",\"version\":\"1.0.0\"}}")
            (data (i32.const 1000) "api-key")
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (global.get $heap))
                (global.set $heap
                    (i32.and (i32.add (i32.add (global.get $heap) (local.get $size)) (i32.const 7))
                        (i32.const -8)))
                (local.get $at))
            (func (export "describe") (result i32)
                (i32.store (i32.const 0) (i32.const 900))
                (i32.store (i32.const 4) (i32.const 37))
                (i32.const 0))
            (func (export "run")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (param i64) (param i32 i32 i32 i32)
                (result i32) (local $len i32)
                (call $ask (i32.const 1000) (i32.const 7) (i32.const 512))
                (local.set $len (i32.load (i32.const 520)))
                (i32.store8 (i32.const 2048) (i32.const 34))
                (i32.store8 (i32.const 2049)
                    (select (i32.const 33) (i32.const 46) (i32.load8_u (i32.const 512))))
                (memory.copy (i32.const 2050) (i32.load (i32.const 516)) (local.get $len))
                (i32.store8 (i32.add (i32.const 2050) (local.get $len)) (i32.const 34))
                (i32.store8 (i32.const 640) (i32.const 0))
                (i32.store (i32.const 648) (i32.const 2048))
                (i32.store (i32.const 652) (i32.add (local.get $len) (i32.const 3)))
                (i32.const 640)))"#
    ));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("stateflow-plugin.wit", WIT).unwrap();
    let world = resolve.select_world(&[package], Some("step")).unwrap();
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    core
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
