//! `/api/dlq`: failed executions that wait for somebody to look at them: what failed, why, with which input; run again, or
//! taken off the list.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::audit::Entry;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::executions::bulk::{self, Action, BulkRequest, BulkView};
use crate::executions::read::{DeadLetterQuery, created_at, filter_of};
use crate::extract::{JsonBody, QueryOf, page_size};
use crate::plugins::life::check_words;
use crate::router::Shared;

/// A failed execution that waits for somebody to look at it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetterView {
    /// The execution: `/api/executions/{id}` has its input, its steps and their outputs.
    id: Uuid,
    workflow: String,
    version: i32,
    /// The step at which it stopped; none if it failed between its steps.
    step: Option<String>,
    #[schema(value_type = Option<Object>)]
    error: Value,
    #[schema(value_type = Object)]
    labels: Value,
    created_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetterPage {
    items: Vec<DeadLetterView>,
    next_cursor: Option<Uuid>,
}

/// Lists dead letters, newest first.
#[utoipa::path(get, path = "/api/dlq", operation_id = "list_dead_letters", params(DeadLetterQuery),
    responses((status = 200, body = DeadLetterPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(state): Shared,
    QueryOf(query): QueryOf<DeadLetterQuery>,
) -> Result<Json<DeadLetterPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let filter = filter_of(&state, query.into()).await?;
    let mut found =
        state.store.dead_letters(state.namespace(), &filter, i64::from(limit) + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|it| it.id);
    let items = found.into_iter().map(|it| DeadLetterView {
        id: it.id,
        workflow: it.workflow,
        version: it.version,
        step: it.step,
        error: json!(it.failure),
        labels: it.labels,
        created_at: created_at(it.id),
        finished_at: it.finished_at,
    });
    Ok(Json(DeadLetterPage { items: items.collect(), next_cursor }))
}

/// Where a dead letter goes on.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RedriveFrom {
    /// Where it stopped, with the outputs that it has.
    #[default]
    FailedStep,
    /// At its first step.
    Start,
}

/// Which dead letters run again, and how fast.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "filter": { "workflow": "welcome", "error": "HTTP_STATUS" },
    "from": "failed-step", "rate": 10, "canary": 5,
}))]
pub(crate) struct RedriveRequest {
    /// These executions; or a filter, `{}` for all.
    ids: Option<Vec<Uuid>>,
    /// Those that the list shows with these filters.
    filter: Option<DeadLetterQuery>,
    #[serde(default)]
    from: RedriveFrom,
    /// Only says how many there are, and which come first.
    #[serde(default)]
    dry_run: bool,
    /// Executions a second; as fast as it goes, if it is not said.
    rate: Option<u32>,
    /// So many first; the others only when these have ended.
    #[serde(default)]
    canary: u32,
    /// Stops when a larger part than this has failed: 0 to 1.
    stop_above: Option<f64>,
}

/// Runs dead letters again: a bulk action, which `/api/executions/bulk/{id}` shows.
#[utoipa::path(post, path = "/api/dlq/redrive", operation_id = "redrive_dead_letters",
    request_body = RedriveRequest, responses(
        (status = 200, body = BulkView, description = "a dry run"),
        (status = 202, body = BulkView),
        (status = 400, body = Problem),
        (status = 404, body = Problem),
        (status = 422, body = Problem, description = "it would be for too many"),
))]
pub(crate) async fn redrive(
    State(state): Shared,
    JsonBody(request): JsonBody<RedriveRequest>,
) -> Result<(StatusCode, Json<BulkView>), ApiError> {
    let action = match request.from {
        RedriveFrom::FailedStep => Action::RetryStep,
        RedriveFrom::Start => Action::Retry,
    };
    let bulk = BulkRequest {
        dry_run: request.dry_run,
        rate: request.rate,
        canary: request.canary,
        stop_above: request.stop_above,
        ..BulkRequest::of(action, request.ids, request.filter.map(Into::into))
    };
    bulk::carry_out(&state, bulk).await
}

/// Which dead letters nobody needs to look at any more, and who says so.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "filter": { "workflow": "welcome" },
    "dryRun": true, "by": "ada", "reason": "all of them were told by phone",
}))]
pub(crate) struct PurgeRequest {
    /// These executions; or a filter, `{}` for all.
    ids: Option<Vec<Uuid>>,
    /// Those that the list shows with these filters.
    filter: Option<DeadLetterQuery>,
    /// Only says how many there are.
    #[serde(default)]
    dry_run: bool,
    /// Who says so.
    by: String,
    /// Why.
    reason: Option<String>,
}

/// How many dead letters were, or would be, taken off the list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PurgeView {
    dry_run: bool,
    purged: u64,
}

/// Takes dead letters off the list. They stay in the history as failed, for as long as the retention keeps them, and can still be
/// retried.
#[utoipa::path(post, path = "/api/dlq/purge", operation_id = "purge_dead_letters",
    request_body = PurgeRequest, responses(
        (status = 200, body = PurgeView),
        (status = 400, body = Problem),
        (status = 404, body = Problem),
        (status = 422, body = Problem, description = "it would be for too many"),
))]
pub(crate) async fn purge(
    State(state): Shared,
    JsonBody(request): JsonBody<PurgeRequest>,
) -> Result<Json<PurgeView>, ApiError> {
    bulk::either(request.ids.is_some(), request.filter.is_some())?;
    check_words("by", &request.by)?;
    if let Some(reason) = &request.reason {
        check_words("reason", reason)?;
    }
    let filter = request.filter.map(Into::into);
    let found = bulk::targets(&state, request.ids, filter).await?;
    if request.dry_run {
        return Ok(Json(PurgeView { dry_run: true, purged: found.len() as u64 }));
    }
    let detail = json!({ "executions": found.len(), "reason": request.reason });
    let entry = Entry {
        actor: &request.by,
        action: "dead-letters.purge",
        subject: "dead letters",
        detail: &detail,
    };
    let purged = state.store.purge_dead_letters(state.namespace(), &found, &entry).await?;
    Ok(Json(PurgeView { dry_run: false, purged }))
}
