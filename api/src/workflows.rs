//! `/api/workflows`: publishing and reading definitions.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Json, Response};
use chrono::{DateTime, Utc};
use engine::definition::Trigger;
use engine::diagnostic::Diagnostic;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::audit::Entry;
use store::workflows::{NewVersion, Version, Workflow};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::conditional::{changed_meanwhile, expected, tagged};
use crate::error::{ApiError, Problem};
use crate::extract::{JsonBytes, QueryOf, page_size};
use crate::plugins::life::check_words;
use crate::publish::{self, Publishable};
use crate::router::Shared;
use crate::versions::Ramp;

/// One published version of a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionView {
    id: Uuid,
    name: String,
    version: i32,
    digest: String,
    created_at: DateTime<Utc>,
    #[schema(value_type = Object)]
    definition: Value,
    /// The plugin digests that the version is locked to.
    #[schema(value_type = Object)]
    plugin_lock: Value,
}

impl From<Version> for VersionView {
    fn from(version: Version) -> Self {
        Self {
            id: version.workflow_id,
            name: version.name,
            version: version.version,
            digest: version.digest,
            created_at: version.created_at,
            definition: version.definition,
            plugin_lock: json!(version.plugin_lock),
        }
    }
}

/// A workflow in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkflowView {
    id: Uuid,
    name: String,
    latest_version: i32,
    /// The version that new executions run; the newest, unless another was made live.
    live_version: i32,
    /// Another version for a part of them.
    ramp: Option<Ramp>,
    created_at: DateTime<Utc>,
    /// When the newest version was published.
    updated_at: DateTime<Utc>,
}

impl From<Workflow> for WorkflowView {
    fn from(it: Workflow) -> Self {
        Self {
            id: it.id,
            name: it.name,
            latest_version: it.latest_version,
            live_version: it.live_version.unwrap_or(it.latest_version),
            ramp: it.ramp_version.map(|version| Ramp { version, percent: it.ramp_percent }),
            created_at: it.created_at,
            updated_at: it.updated_at,
        }
    }
}

/// A page of workflows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkflowPage {
    items: Vec<WorkflowView>,
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// 1 to 500; 50 if not given.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// Lists workflows by name.
#[utoipa::path(get, path = "/api/workflows", operation_id = "list_workflows",
    params(PageQuery), responses((status = 200, body = WorkflowPage)))]
pub(crate) async fn list(
    State(state): Shared,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<WorkflowPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let after = query.cursor.unwrap_or_default();
    let found = state.store.workflows(state.namespace(), &after, i64::from(limit) + 1).await?;
    let more = found.len() > limit as usize;
    let items: Vec<WorkflowView> = found.into_iter().take(limit as usize).map(Into::into).collect();
    let next_cursor = items.last().filter(|_| more).map(|it| it.name.clone());
    Ok(Json(WorkflowPage { items, next_cursor }))
}

/// Publishes a workflow's first version.
#[utoipa::path(post, path = "/api/workflows", operation_id = "create_workflow",
    request_body(content = Object, example = json!(example())), responses(
    (status = 201, body = VersionView),
    (status = 409, body = Problem, description = "the name is taken"),
    (status = 422, body = Problem, description = "the definition is not valid"),
))]
pub(crate) async fn create(
    State(state): Shared,
    JsonBytes(body): JsonBytes,
) -> Result<(StatusCode, Json<VersionView>), ApiError> {
    let new = new_version(state.namespace(), publish::require(&state, &body).await?);
    let version = state.store.create_workflow(&new).await?;
    Ok((StatusCode::CREATED, Json(version.into())))
}

/// What is wrong with a definition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Verdict {
    valid: bool,
    #[schema(value_type = Vec<Object>)]
    diagnostics: Vec<Diagnostic>,
}

/// Checks a definition; stores nothing.
#[utoipa::path(post, path = "/api/workflows/validate", operation_id = "validate_workflow",
    request_body(content = Object, example = json!(example())),
    responses((status = 200, body = Verdict)))]
pub(crate) async fn validate(
    State(state): Shared,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Verdict>, ApiError> {
    let diagnostics = publish::check(&state, &body).await?.err().unwrap_or_default();
    Ok(Json(Verdict { valid: diagnostics.is_empty(), diagnostics }))
}

/// The newest version of a workflow, by id or name.
#[utoipa::path(get, path = "/api/workflows/{workflow}", operation_id = "get_workflow",
    params(("workflow" = String, Path), ("If-None-Match" = Option<String>, Header)), responses(
    (status = 200, body = VersionView), (status = 304), (status = 404, body = Problem),
))]
pub(crate) async fn get(
    State(state): Shared,
    Path(workflow): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let workflow = state.store.workflow(state.namespace(), &workflow).await?;
    let version = state.store.version(workflow.id, workflow.latest_version).await?;
    Ok(tagged(&headers, version.version, VersionView::from(version)))
}

/// Publishes a new version. The same definition again is the version that is there.
#[utoipa::path(put, path = "/api/workflows/{workflow}", operation_id = "update_workflow",
    params(("workflow" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = Object, example = json!(example())), responses(
        (status = 200, body = VersionView),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "the definition names another workflow"),
        (status = 412, body = Problem, description = "it has changed meanwhile"),
        (status = 422, body = Problem, description = "the definition is not valid"),
))]
pub(crate) async fn update(
    State(state): Shared,
    Path(workflow): Path<String>,
    headers: HeaderMap,
    JsonBytes(body): JsonBytes,
) -> Result<Response, ApiError> {
    let expected = expected(&headers)?;
    let workflow = state.store.workflow(state.namespace(), &workflow).await?;
    let new = new_version(state.namespace(), publish::require(&state, &body).await?);
    if new.name != workflow.name {
        let detail = format!(
            "this is workflow `{}`; the definition's name is `{}`",
            workflow.name, new.name
        );
        return Err(ApiError::conflict("NAME_MISMATCH", detail));
    }
    let version = state.store.publish_version(workflow.id, &new, expected).await;
    let version = version.map_err(|error| match error {
        StoreError::Conflict(detail) if expected.is_some() => changed_meanwhile(&detail),
        other => other.into(),
    })?;
    Ok(tagged(&HeaderMap::new(), version.version, VersionView::from(version)))
}

/// Who archives a workflow, and why.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ArchiveQuery {
    /// Who; `api`, if it is not said.
    by: Option<String>,
}

/// Archives a workflow: nothing starts it any more and its name is free. What is under way goes on, and the history stays.
#[utoipa::path(delete, path = "/api/workflows/{workflow}", operation_id = "archive_workflow",
    params(("workflow" = String, Path), ArchiveQuery),
    responses((status = 204), (status = 404, body = Problem)))]
pub(crate) async fn archive(
    State(state): Shared,
    Path(workflow): Path<String>,
    QueryOf(query): QueryOf<ArchiveQuery>,
) -> Result<StatusCode, ApiError> {
    let by = query.by.as_deref().unwrap_or("api");
    check_words("by", by)?;
    let workflow = state.store.workflow(state.namespace(), &workflow).await?;
    let detail = json!({ "id": workflow.id, "versions": workflow.latest_version });
    let entry =
        Entry { actor: by, action: "workflow.archive", subject: &workflow.name, detail: &detail };
    state.store.archive_workflow(&workflow, &entry, state.namespace()).await?;
    state.forget_workflow(&workflow.name).await;
    state.forget_workflow(&workflow.id.to_string()).await;
    Ok(StatusCode::NO_CONTENT)
}

/// A version in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionSummary {
    version: i32,
    digest: String,
    created_at: DateTime<Utc>,
}

/// A page of versions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionPage {
    items: Vec<VersionSummary>,
    next_cursor: Option<i32>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VersionsQuery {
    /// 1 to 500; 50 if not given.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<i32>,
}

/// Lists the versions of a workflow, newest first.
#[utoipa::path(get, path = "/api/workflows/{workflow}/versions", operation_id = "list_workflow_versions",
    params(("workflow" = String, Path), VersionsQuery),
    responses((status = 200, body = VersionPage), (status = 404, body = Problem)))]
pub(crate) async fn versions(
    State(state): Shared,
    Path(workflow): Path<String>,
    QueryOf(query): QueryOf<VersionsQuery>,
) -> Result<Json<VersionPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let workflow = state.store.workflow(state.namespace(), &workflow).await?;
    let mut found = state.store.versions(workflow.id, query.cursor, i64::from(limit) + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|it| it.version);
    let items = found.into_iter().map(|it| VersionSummary {
        version: it.version,
        digest: it.digest,
        created_at: it.created_at,
    });
    Ok(Json(VersionPage { items: items.collect(), next_cursor }))
}

/// One version of a workflow.
#[utoipa::path(get, path = "/api/workflows/{workflow}/versions/{version}", operation_id = "get_workflow_version",
    params(("workflow" = String, Path), ("version" = i32, Path)),
    responses((status = 200, body = VersionView), (status = 404, body = Problem)))]
pub(crate) async fn versions_get(
    State(state): Shared,
    Path((workflow, version)): Path<(String, i32)>,
) -> Result<Json<VersionView>, ApiError> {
    let workflow = state.store.workflow(state.namespace(), &workflow).await?;
    Ok(Json(state.store.version(workflow.id, version).await?.into()))
}

/// The JSON Schema of a definition, for editors.
#[utoipa::path(get, path = "/api/schema/workflow.json", responses((status = 200, body = Object)))]
pub(crate) async fn schema() -> Json<Value> {
    Json(engine::definition::json_schema())
}

/// A definition as somebody would publish it, for the document.
fn example() -> Value {
    json!({
        "name": "welcome",
        "description": "Greets whoever has signed up",
        "inputSchema": {
            "type": "object",
            "properties": { "name": { "type": "string" } },
            "required": ["name"],
        },
        "steps": [
            {
                "id": "note", "type": "log", "next": "greet",
                "config": { "message": "${input.name} has signed up" },
            },
            {
                "id": "greet", "type": "http", "timeoutMs": 10_000,
                "config": {
                    "method": "POST", "url": "https://mail.example.com/send",
                    "body": { "text": "Welcome, ${input.name}!" },
                },
                "retryPolicy": { "maxAttempts": 3, "delayMs": 1_000 },
            },
        ],
        "output": { "status": "${steps.greet.output.status}" },
    })
}

fn new_version(namespace_id: i32, publishable: Publishable) -> NewVersion {
    let triggers = publishable.definition.all_triggers();
    let events = triggers.filter_map(|(_, trigger)| match trigger {
        Trigger::Event { event, .. } => Some(event.clone()),
        Trigger::Manual {} => None,
    });
    NewVersion {
        namespace_id,
        events: events.collect(),
        name: publishable.definition.name,
        definition: publishable.value,
        plugin_lock: publishable.lock,
    }
}
