//! Forks: a new execution that begins in the middle, with what another had found out by then.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use chrono::Utc;
use engine::machine;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::forks::NewFork;
use utoipa::ToSchema;
use uuid::Uuid;

use super::act::whole;
use super::start::check_input;
use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, execution_id};
use crate::router::Shared;

/// Where a fork begins, and what differs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ForkRequest {
    /// The step that it begins with. What ran before it is taken over.
    from_step: String,
    /// Another version than the execution's.
    version: Option<i32>,
    /// Changes to the input: a JSON Merge Patch (RFC 7396).
    #[schema(value_type = Object)]
    input_patch: Option<Value>,
}

/// The new execution.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForkView {
    id: Uuid,
    status: &'static str,
    forked_from: Uuid,
}

/// Starts a new execution in the middle, with the outputs that another had by then. The other is left as it is.
#[utoipa::path(post, path = "/api/executions/{id}/fork", params(("id" = Uuid, Path)),
    request_body = ForkRequest, responses(
        (status = 202, body = ForkView),
        (status = 404, body = Problem, description = "there is no such execution, version or step"),
        (status = 422, body = Problem, description = "the changed input is not what the workflow takes"),
))]
pub(crate) async fn fork(
    State(state): Shared,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ForkRequest>,
) -> Result<(StatusCode, Json<ForkView>), ApiError> {
    let of = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    whole(&of)?;
    let version = request.version.unwrap_or(of.version);
    let definition = state.definition(of.workflow_id, version).await?;
    if !definition.steps.iter().any(|step| step.id == request.from_step) {
        let detail = format!("version {version} has no step `{}`", request.from_step);
        return Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail));
    }
    let mut input = of.input;
    if let Some(patch) = &request.input_patch {
        json_patch::merge(&mut input, patch);
    }
    let input = input.to_string();
    check_input(&definition, &input)?;

    let records = state.store.records_before(of.id, &request.from_step).await?;
    let kept = state.store.kept(of.id, records).await?;
    let fork = machine::Fork { of: of.id, from_step: request.from_step };
    let fresh = machine::State::new(Utc::now(), definition.deadline_ms);
    let new = NewFork {
        id: Uuid::now_v7(),
        of: of.id,
        version,
        state: fresh.forked(fork, u32::try_from(records).unwrap_or(0), kept),
        input,
    };
    state.store.fork(&new).await?;
    state.wakeups.work(1);
    Ok((StatusCode::ACCEPTED, Json(ForkView { id: new.id, status: "pending", forked_from: of.id })))
}
