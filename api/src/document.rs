//! What the `OpenAPI` document needs and no single route says: groups, and how problems and bytes are written.
//!
//! Here and not in the routes' attributes, because it is the same for all of them.

mod schemas;

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::content::Content;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{KnownFormat, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder};

use crate::extract::MAX_KEY_BYTES;

/// The groups in the order of their reading: name, what it is for, and how its paths begin.
const GROUPS: [(&str, &str, &[&str]); 9] = [
    (
        "Workflows",
        "Publish definitions, compare versions, and start executions.",
        &["/api/workflows", "/api/schema"],
    ),
    (
        "Executions",
        "Follow, stop, repair and repeat executions, one or many.",
        &["/api/executions", "/api/incidents"],
    ),
    (
        "Dead letters",
        "Look at what failed for good, and run it again or let it be.",
        &["/api/dlq", "/api/metrics/dlq"],
    ),
    ("Events", "Tell executions that something has happened.", &["/api/events", "/api/tokens"]),
    ("Approvals", "What people are asked, and what they say.", &["/api/approvals"]),
    ("Plugins", "Upload step types, and decide about them.", &["/api/plugins"]),
    ("Secrets", "What steps may send and nobody may see.", &["/api/secrets"]),
    ("Blobs", "Payloads that are too large for JSON.", &["/api/blobs"]),
    (
        "Operations",
        "Health, metrics, workers, policies and the record of decisions.",
        &[
            "/api/health",
            "/api/admin",
            "/api/metrics",
            "/api/workers",
            "/api/namespaces",
            "/api/audit",
        ],
    ),
];

/// What [`Problem`](crate::error::Problem) is called in references.
const PROBLEM: &str = "#/components/schemas/Problem";

/// The document, with what the routes do not say of themselves.
pub(crate) fn complete(mut document: OpenApi) -> Value {
    complete_operations(&mut document);
    let mut document =
        serde_json::to_value(document).expect("the document is made of strings and numbers");
    schemas::complete(&mut document);
    document
}

fn complete_operations(document: &mut OpenApi) {
    let tags = GROUPS
        .iter()
        .map(|(name, about, _)| TagBuilder::new().name(*name).description(Some(*about)).build());
    document.tags = Some(tags.collect());
    for (path, item) in &mut document.paths.paths {
        let methods =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in methods.into_iter().flatten() {
            operation.tags = group(path).map(|name| vec![name.to_owned()]);
            complete_operation(operation);
        }
        let changes = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        changes.into_iter().flatten().for_each(take_keys);
    }
}

/// What any call may be refused with, beside what its route says.
const ALWAYS: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];
/// The same, of calls with a body.
const WITH_BODY: [StatusCode; 3] = [
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
];
/// The same, of calls that change something and may have a key.
const WITH_KEY: [StatusCode; 2] = [StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY];

/// Changes take an `Idempotency-Key`.
fn take_keys(operation: &mut Operation) {
    let about = "The same request again, within a day, gets the answer of the first one.";
    let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(MAX_KEY_BYTES));
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(text))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(key));
    may_be_refused(operation, &WITH_KEY);
}

fn may_be_refused(operation: &mut Operation, statuses: &[StatusCode]) {
    for status in statuses {
        let known = &mut operation.responses.responses;
        known.entry(status.as_str().to_owned()).or_insert_with(|| {
            let problem = Content::new(Some(Ref::new(PROBLEM)));
            let words = status.canonical_reason().unwrap_or_default();
            let response = ResponseBuilder::new().description(words);
            RefOr::T(response.content("application/problem+json", problem).build())
        });
    }
}

/// `None` for a path that nobody has put anywhere: the tests find it.
fn group(path: &str) -> Option<&'static str> {
    let begins = |(_, _, starts): &&(&str, &str, &[&str])| {
        starts.iter().any(|start| path.starts_with(start))
    };
    GROUPS.iter().find(begins).map(|(name, _, _)| *name)
}

fn complete_operation(operation: &mut Operation) {
    may_be_refused(operation, &ALWAYS);
    if operation.request_body.is_some() {
        may_be_refused(operation, &WITH_BODY);
    }
    let in_path =
        |it: &RefOr<Parameter>| matches!(it, RefOr::T(it) if it.parameter_in == ParameterIn::Path);
    if operation.parameters.iter().flatten().any(in_path) {
        may_be_refused(operation, &[StatusCode::NOT_FOUND]);
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.iter_mut().for_each(|(kind, content)| write_bytes_as_such(kind, content));
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            complete_response(status, response);
        }
    }
}

fn complete_response(status: &str, response: &mut Response) {
    // The standard wants a description; the status in words is what there is to say.
    if response.description.is_empty() {
        let code = status.parse::<StatusCode>().ok();
        let words = code.and_then(|code| code.canonical_reason()).unwrap_or(status);
        words.clone_into(&mut response.description);
    }
    let content = std::mem::take(&mut response.content);
    for (kind, mut content) in content {
        write_bytes_as_such(&kind, &mut content);
        let kind = if is_problem(&content) { "application/problem+json".to_owned() } else { kind };
        response.content.insert(kind, content);
    }
}

fn is_problem(content: &RefOr<Content>) -> bool {
    let RefOr::T(content) = content else { return false };
    matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location == PROBLEM)
}

/// Bytes would be a list of numbers otherwise.
fn write_bytes_as_such(kind: &str, content: &mut RefOr<Content>) {
    let is_bytes = ["application/octet-stream", "application/wasm"].contains(&kind);
    if let (true, RefOr::T(content)) = (is_bytes, content) {
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        content.schema = Some(RefOr::T(Schema::Object(bytes.build())));
    }
}
