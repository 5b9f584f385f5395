//! Forks: a new execution that begins in the middle, with what another had found out by then.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use engine::definition::MAX_PAYLOAD_BYTES;
use engine::fork::{ForkOrder, ForkRefusal};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::act::whole;
use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, execution_id};
use crate::router::Shared;

/// Where a fork begins, and what differs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "fromStep": "greet", "inputPatch": { "name": "Grace" } }))]
pub(crate) struct ForkRequest {
    /// The step that it begins with. What ran before it is taken over. Without it, the fork begins at the start.
    from_step: Option<String>,
    /// Another version than the execution's.
    version: Option<i32>,
    /// Changes to the input: a JSON Merge Patch (RFC 7396).
    #[schema(value_type = Option<Object>)]
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
#[utoipa::path(post, path = "/api/executions/{id}/fork", operation_id = "fork_execution", params(("id" = Uuid, Path)),
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
    let ForkRequest { from_step, version, input_patch } = request;
    let order = ForkOrder { from_step, version, input_patch };
    let plan = state.plan(of.workflow_id, version.unwrap_or(of.version)).await?;
    let new = state.store.prepare_fork(&of, &order, &plan).await?.map_err(refused)?;
    state.store.fork(&new).await?;
    state.wakeups.work(1);
    Ok((StatusCode::ACCEPTED, Json(ForkView { id: new.id, status: "pending", forked_from: of.id })))
}

fn refused(refusal: ForkRefusal) -> ApiError {
    let detail = refusal.to_string();
    match refusal {
        ForkRefusal::UnknownStep { .. } => {
            ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
        }
        ForkRefusal::InputTooLarge { .. } => ApiError::too_large("an input", MAX_PAYLOAD_BYTES),
        ForkRefusal::InputInvalid { mut problems, .. } => {
            for problem in &mut problems {
                problem.pointer.insert_str(0, "/input");
            }
            ApiError::unprocessable("INPUT_INVALID", &detail, problems)
        }
    }
}
