//! Definitions that are refused: what is wrong, where, and nothing stored.

use serde_json::{Value, json};

use crate::guests::well_behaved;
use crate::server::Server;

const MEBIBYTE: usize = 1 << 20;

fn log(id: &str) -> Value {
    json!({ "id": id, "type": "log", "config": { "message": "hi" } })
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_place() {
    let server = Server::start().await;
    let with = |field: &str, value: Value| {
        let mut step = log("a");
        step[field] = value;
        json!({ "name": "w", "steps": [step] })
    };
    let cases = [
        (json!({ "name": "w", "steps": [log("a")], "colour": "red" }), "/colour"),
        (with("retires", json!(3)), "/steps/0/retires"),
        (with("timeoutMs", json!("soon")), "/steps/0/timeoutMs"),
        (with("next", json!("nowhere")), "/steps/0/next"),
        (with("onError", json!("nowhere")), "/steps/0/onError"),
        (with("when", json!("input.")), "/steps/0/when"),
        (with("type", json!("teleport")), "/steps/0/type"),
        (with("type", json!("team/absent@^1")), "/steps/0/type"),
        (json!({ "name": "w", "steps": [] }), "/steps"),
        (json!({ "steps": [log("a")] }), ""),
    ];
    for (definition, pointer) in cases {
        let answer = server.post("/api/workflows", &definition).await;
        let faults = answer.is_problem(422, "DEFINITION_INVALID").faults();
        assert!(faults.iter().any(|(_, at)| *at == pointer), "{pointer}: {answer:?}");
    }
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn all_problems_come_at_once_and_with_their_lines() {
    let server = Server::start().await;
    let text = "{\n  \"name\": \"w\",\n  \"steps\": [\n    { \"id\": \"a\", \"type\": \"log\", \
                \"config\": { \"message\": \"x\" }, \"next\": \"b\", \"colour\": 1 }\n  ],\n  \"extra\": true\n}";
    let answer = server.post_text("/api/workflows", text.to_owned()).await;
    let faults = answer.is_problem(422, "DEFINITION_INVALID").faults();
    let places: Vec<_> = faults.iter().map(|(_, pointer)| *pointer).collect();
    assert!(places.contains(&"/extra") && places.contains(&"/steps/0/colour"), "{answer:?}");
    let line = |pointer: &str| {
        let errors = answer.body["errors"].as_array().unwrap();
        errors.iter().find(|it| it["pointer"] == pointer).unwrap()["line"].as_u64()
    };
    assert_eq!((line("/steps/0/colour"), line("/extra")), (Some(4), Some(6)));
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_field_hides_neither_plugins_nor_what_is_wrong_with_them() {
    let server = Server::start().await;
    let uploaded = server.upload("?name=team/greet&version=1.2.0", well_behaved()).await;
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let definition = |version: &str| {
        json!({ "name": "w", "colour": 1, "steps": [
            { "id": "a", "type": format!("team/greet@{version}"), "onEror": "b" },
        ] })
    };
    let codes = async |version: &str| {
        let answer = server.post("/api/workflows/validate", &definition(version)).await;
        let found = answer.body["diagnostics"].as_array().unwrap().clone();
        found.iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let unknown = vec!["UNKNOWN_FIELD"; 2];
    assert_eq!(codes("^1").await, unknown, "the plugin is there");
    let mut found = codes("^2").await;
    found.sort();
    assert_eq!(found, [unknown, vec!["UNKNOWN_STEP_TYPE"]].concat());
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_json_is_refused_as_such() {
    let server = Server::start().await;
    for text in ["", "{", "nonsense", "[1]", "\"w\""] {
        let answer = server.post_text("/api/workflows", text.to_owned()).await;
        answer.is_problem(422, "DEFINITION_INVALID");
    }
    server.is_untouched().await;
    server.stop().await;
}

/// A definition of so many bytes: white space counts.
fn of_size(bytes: usize) -> String {
    let text = json!({ "name": "big", "steps": [log("a")] }).to_string();
    format!("{text}{}", " ".repeat(bytes - text.len()))
}

#[tokio::test]
async fn a_definition_may_have_a_mebibyte_and_no_more() {
    let server = Server::start().await;
    let over = server.post_text("/api/workflows", of_size(MEBIBYTE + 1)).await;
    over.is_problem(413, "DEFINITION_TOO_LARGE");
    let far_over = server.post_text("/api/workflows", of_size(2 * MEBIBYTE)).await;
    far_over.is_problem(413, "TOO_LARGE");
    server.is_untouched().await;
    let at = server.post_text("/api/workflows", of_size(MEBIBYTE)).await;
    assert_eq!(at.status, 201, "{}", at.body["detail"]);
    server.stop().await;
}

#[tokio::test]
async fn names_are_taken_once_and_kept() {
    let server = Server::start().await;
    server.publish("w", json!([log("a")])).await;
    let again = server.post("/api/workflows", &json!({ "name": "w", "steps": [log("b")] })).await;
    again.is_problem(409, "CONFLICT");
    let other = json!({ "name": "v", "steps": [log("a")] });
    server.put("/api/workflows/w", &other).await.is_problem(409, "NAME_MISMATCH");
    server.put("/api/workflows/absent", &other).await.is_problem(404, "NOT_FOUND");
    let two = server.put("/api/workflows/w", &json!({ "name": "w", "steps": [log("b")] })).await;
    assert_eq!((two.status, &two.body["version"]), (200, &json!(2)));
    let same = server.put("/api/workflows/w", &json!({ "name": "w", "steps": [log("b")] })).await;
    assert_eq!(same.body["version"], 2, "the same definition is the version that is there");
    let first = server.get("/api/workflows/w/versions/1").await;
    assert_eq!(first.body["definition"]["steps"][0]["id"], "a");
    server.stop().await;
}

#[tokio::test]
async fn validating_stores_nothing() {
    let server = Server::start().await;
    let good = json!({ "name": "w", "steps": [log("a")] });
    let answer = server.post("/api/workflows/validate", &good).await;
    assert_eq!(answer.body, json!({ "valid": true, "diagnostics": [] }));
    let bad = server.post("/api/workflows/validate", &json!({ "name": "w" })).await;
    assert_eq!((bad.status, &bad.body["valid"]), (200, &json!(false)));
    server.is_untouched().await;
    server.stop().await;
}
