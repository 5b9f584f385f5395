//! Acting on executions: a fact for the inbox, never a write to the state.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use engine::machine::{Fact, Objection};
use serde::{Deserialize, Serialize};
use store::executions::Execution;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, execution_id};
use crate::router::Shared;
use crate::state::ApiState;

/// The longest reason, in bytes.
const MAX_REASON_BYTES: usize = 2_000;

/// Why it is cancelled or paused.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "reason": "ordered twice by mistake" }))]
pub(crate) struct ReasonRequest {
    reason: Option<String>,
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "step": "greet" }))]
pub(crate) struct RetryStepRequest {
    /// A step's id; without it, the step at which the execution stopped.
    step: Option<String>,
}

/// The execution as it was when the request was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    id: Uuid,
    status: String,
}

/// Cancels an execution. What it is doing stops; follow it to see it end.
#[utoipa::path(post, path = "/api/executions/{id}/cancel", operation_id = "cancel_execution", params(("id" = Uuid, Path)),
    request_body = ReasonRequest, responses(
        (status = 202, body = Accepted),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "it has already ended"),
))]
pub(crate) async fn cancel(
    State(state): Shared,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ReasonRequest>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let fact = Fact::Cancel { reason: checked_reason(request)? };
    let execution = ready_for(&fact, &state, &id).await?;
    post(&state, execution, fact).await
}

/// Lets an execution rest: nothing new is begun, and an attempt under way is left to end.
#[utoipa::path(post, path = "/api/executions/{id}/pause", operation_id = "pause_execution", params(("id" = Uuid, Path)),
    request_body(content = ReasonRequest, example = json!({ "reason": "until the mail service is back" })), responses(
        (status = 202, body = Accepted),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "it has already ended, or rests"),
))]
pub(crate) async fn pause(
    State(state): Shared,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<ReasonRequest>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let fact = Fact::Pause { reason: checked_reason(request)? };
    let execution = ready_for(&fact, &state, &id).await?;
    post(&state, execution, fact).await
}

/// Lets a paused execution go on.
#[utoipa::path(post, path = "/api/executions/{id}/resume", operation_id = "resume_execution", params(("id" = Uuid, Path)), responses(
    (status = 202, body = Accepted),
    (status = 404, body = Problem),
    (status = 409, body = Problem, description = "it has already ended, or is not paused"),
))]
pub(crate) async fn resume(
    State(state): Shared,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let execution = ready_for(&Fact::Resume, &state, &id).await?;
    post(&state, execution, Fact::Resume).await
}

fn checked_reason(request: ReasonRequest) -> Result<Option<String>, ApiError> {
    if request.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
        return Err(ApiError::bad_request(format!("a reason has up to {MAX_REASON_BYTES} bytes")));
    }
    Ok(request.reason)
}

/// Runs a failed or cancelled execution again, from the start, with the same input.
#[utoipa::path(post, path = "/api/executions/{id}/retry", operation_id = "retry_execution", params(("id" = Uuid, Path)), responses(
    (status = 202, body = Accepted),
    (status = 404, body = Problem),
    (status = 409, body = Problem, description = "it has not failed"),
))]
pub(crate) async fn retry(
    State(state): Shared,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let execution = ready_for(&Fact::Retry, &state, &id).await?;
    post(&state, execution, Fact::Retry).await
}

/// Lets a failed or cancelled execution go on at a step, with the outputs that it has.
#[utoipa::path(post, path = "/api/executions/{id}/retry-step", params(("id" = Uuid, Path)),
    request_body = RetryStepRequest, responses(
        (status = 202, body = Accepted),
        (status = 404, body = Problem, description = "there is no such execution, or no such step"),
        (status = 409, body = Problem, description = "it has not failed, or did not stop at a step"),
))]
pub(crate) async fn retry_step(
    State(state): Shared,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<RetryStepRequest>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let fact = Fact::RetryStep { step: request.step.clone() };
    let execution = ready_for(&fact, &state, &id).await?;
    let step = request.step.or_else(|| execution.state.stopped_at.clone()).unwrap_or_default();
    if !state.steps(&execution).await?.iter().any(|it| it.id == step) {
        let detail = format!("version {} has no step `{step}`", execution.version);
        return Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail));
    }
    post(&state, execution, fact).await
}

/// An execution, if nothing speaks against telling it this.
async fn ready_for(fact: &Fact, state: &ApiState, id: &str) -> Result<Execution, ApiError> {
    let execution = state.store.execution(state.namespace(), execution_id(id)?).await?;
    let is_block = execution.kinship.as_ref().is_some_and(|kin| kin.block.is_some());
    match execution.state.objection(fact, is_block) {
        None => Ok(execution),
        Some(Objection::IsBlock) => whole(&execution).map(|()| execution),
        Some(objection) => {
            let detail = format!("execution {} {objection}", execution.id);
            Err(ApiError::conflict(code_of(objection), detail))
        }
    }
}

fn code_of(objection: Objection) -> &'static str {
    match objection {
        Objection::Ended(_) => "EXECUTION_ENDED",
        Objection::NotFailed(_) => "EXECUTION_NOT_FAILED",
        Objection::IsBlock => "EXECUTION_IS_A_BLOCK",
        Objection::Undone => "EXECUTION_UNDONE",
        Objection::StoppedNowhere => "EXECUTION_STOPPED_NOWHERE",
        Objection::AlreadyPaused => "EXECUTION_PAUSED",
        Objection::NotPaused(_) => "EXECUTION_NOT_PAUSED",
    }
}

/// Refuses what runs a block: nobody would take in what came of it the second time.
pub(super) fn whole(execution: &Execution) -> Result<(), ApiError> {
    let Some(kin) = execution.kinship.as_ref().filter(|kin| kin.block.is_some()) else {
        return Ok(());
    };
    let detail = format!(
        "execution {} is a part of {}: retry that one, at the step that began this one",
        execution.id, kin.parent_id
    );
    Err(ApiError::conflict("EXECUTION_IS_A_BLOCK", detail))
}

async fn post(
    state: &ApiState,
    execution: Execution,
    fact: Fact,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let holder = state.store.post_fact(execution.namespace_id, execution.id, &fact).await?;
    match holder {
        Some(_) => state.wakeups.signalled(execution.id),
        None => state.wakeups.work(1),
    }
    Ok((StatusCode::ACCEPTED, Json(Accepted { id: execution.id, status: execution.status })))
}
