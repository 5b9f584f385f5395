//! Acting on executions: a fact for the inbox, never a write to the state.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use engine::machine::Fact;
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

/// Why it is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CancelRequest {
    reason: Option<String>,
}

/// The execution as it was when the request was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    id: Uuid,
    status: String,
}

/// Cancels an execution. What it is doing stops; follow it to see it end.
#[utoipa::path(post, path = "/api/executions/{id}/cancel", params(("id" = Uuid, Path)),
    request_body = CancelRequest, responses(
        (status = 202, body = Accepted),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "it has already ended"),
))]
pub(crate) async fn cancel(
    State(state): Shared,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<CancelRequest>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    if request.reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON_BYTES) {
        return Err(ApiError::bad_request(format!("a reason has up to {MAX_REASON_BYTES} bytes")));
    }
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    if execution.state.status.is_terminal() {
        let detail = format!("execution {id} has already {}", execution.status);
        return Err(ApiError::conflict("EXECUTION_ENDED", detail));
    }
    post(&state, execution, Fact::Cancel { reason: request.reason }).await
}

/// Runs a failed or cancelled execution again, from the start, with the same input.
#[utoipa::path(post, path = "/api/executions/{id}/retry", params(("id" = Uuid, Path)), responses(
    (status = 202, body = Accepted),
    (status = 404, body = Problem),
    (status = 409, body = Problem, description = "it has not failed"),
))]
pub(crate) async fn retry(
    State(state): Shared,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    if !matches!(execution.status.as_str(), "failed" | "cancelled") {
        let detail = format!(
            "only a failed or cancelled execution can be retried; {id} is {}",
            execution.status
        );
        return Err(ApiError::conflict("EXECUTION_NOT_FAILED", detail));
    }
    post(&state, execution, Fact::Retry).await
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
