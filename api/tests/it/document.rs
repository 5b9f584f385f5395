//! The `OpenAPI` document against the router: neither knows a route that the other does not.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;
use stateflow_api::openapi;

use crate::server::{Server, send};

/// Whatever a resource may be asked to do.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// What the book's API reference is made of.
const CHECKED_IN: &str = include_str!("../../../docs/openapi.json");

const ROUTER: &str = include_str!("../../src/router.rs");

struct Operation<'a> {
    path: &'a str,
    method: &'a str,
    about: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, about) in methods.as_object().unwrap() {
            operations.push(Operation { path, method, about });
        }
    }
    operations
}

/// A path that the template matches, of things that do not exist.
fn filled(template: &str) -> String {
    let path = template.replace("{id}", "01890000-0000-7000-8000-000000000000");
    path.replace("{version}", "1").replace(['{', '}'], "")
}

/// The names between braces.
fn placeholders(template: &str) -> BTreeSet<&str> {
    let inside = template.split('{').skip(1).filter_map(|it| it.split_once('}'));
    inside.map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_method_answers_if_and_only_if_it_is_documented() {
    let server = Server::start().await;
    let document = server.get("/api/openapi.json").await.body;
    let operations = operations(&document);
    for path in operations.iter().map(|it| it.path).collect::<BTreeSet<_>>() {
        for name in METHODS {
            let documented = operations.iter().any(|it| it.path == path && it.method == name);
            let method = Method::from_bytes(name.to_uppercase().as_bytes()).unwrap();
            let answer = send(server.request(method, &filled(path))).await;
            assert_eq!(answer.status != 405, documented, "{name} {path}: {answer:?}");
            assert!(answer.status < 500, "{name} {path}: {answer:?}");
        }
    }
    // A route past the collector could not be found from outside.
    let apart = ROUTER.matches(".route(").count();
    assert_eq!(apart, 2, "all but the document itself and the way to it is collected");
    let first = server.get("/").await;
    assert_eq!(first.status, 200, "it leads to the page: {first:?}");
    server.stop().await;
}

#[test]
fn the_document_that_is_checked_in_is_the_one_that_is_served() {
    let fresh = format!("{:#}\n", openapi());
    if fresh != CHECKED_IN {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
        std::fs::write(&place, fresh).unwrap();
        panic!("docs/openapi.json is stale; copy {} over it", place.display());
    }
}

#[test]
fn every_operation_has_a_group_and_says_in_a_line_what_it_does() {
    let document = openapi();
    let tags = document["tags"].as_array().unwrap();
    let groups: BTreeSet<_> = tags.iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut used = BTreeSet::new();
    for Operation { path, method, about } in operations(&document) {
        let tags =
            about["tags"].as_array().unwrap_or_else(|| panic!("{method} {path} is in no group"));
        used.extend(tags.iter().map(|tag| tag.as_str().unwrap()));
        let summary = about["summary"].as_str().unwrap_or_default();
        assert!(summary.ends_with('.'), "{method} {path}: {summary:?} is not a sentence");
        for (status, response) in about["responses"].as_object().unwrap() {
            assert_ne!(response["description"], Value::Null, "{method} {path} {status}");
            let kinds = response["content"].as_object().into_iter().flat_map(|it| it.keys());
            // How the system is, is no problem document, whatever it is.
            let is_error = status.starts_with(['4', '5'])
                && !(path.starts_with("/api/admin/health") && status == "503");
            assert!(
                kinds.clone().all(|kind| (kind == "application/problem+json") == is_error),
                "{method} {path} {status}"
            );
        }
    }
    assert_eq!(used, groups, "every group has operations");
}

#[tokio::test]
async fn the_document_is_one_that_generators_take() {
    let server = Server::start().await;
    let document = server.get("/api/openapi.json").await.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let mut names = BTreeSet::new();
    for Operation { path, method, about } in operations(&document) {
        let name = about["operationId"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{method} {path}: `{name}` names two operations");
        let parameters = about["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let declared: BTreeSet<_> = parameters
            .iter()
            .filter(|it| it["in"] == "path")
            .map(|it| it["name"].as_str().unwrap())
            .collect();
        assert_eq!(declared, placeholders(path), "{method} {path}");
        assert!(!about["responses"].as_object().unwrap().is_empty(), "{method} {path}");
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
    server.stop().await;
}
