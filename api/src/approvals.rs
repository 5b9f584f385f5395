//! `/api/approvals`: what people are asked by executions, and what they say.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use engine::control::Control;
use engine::machine::{Asked, MAX_PERSON_BYTES, NotAsked};
use engine::message::approval_name;
use engine::validate::check_instance;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::executions::Execution;
use store::messages::PendingApproval;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, QueryOf, execution_id, page_size};
use crate::messages::{self, SignalView};
use crate::router::Shared;
use crate::state::ApiState;

/// The longest comment, in bytes.
const MAX_COMMENT_BYTES: usize = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApprovalsQuery {
    /// Only what this person is asked.
    approver: Option<String>,
    /// 1 to 500; 50 if not given.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<Uuid>,
}

/// A question that waits for an answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApprovalView {
    /// The execution that asks: it asks one question at a time.
    id: Uuid,
    workflow: String,
    step: String,
    #[schema(value_type = serde_json::Value)]
    message: Value,
    /// Who is asked; anybody, if nobody is named.
    approvers: Vec<String>,
    /// How many have to approve.
    count: u32,
    #[schema(value_type = Vec<Object>)]
    decisions: Value,
    /// What an approval has to bring. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    form_schema: Option<Value>,
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

/// A page of questions, the oldest executions first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApprovalPage {
    items: Vec<ApprovalView>,
    next_cursor: Option<Uuid>,
}

/// What somebody says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "by": "ada", "approved": true, "comment": "within the budget" }))]
pub(crate) struct DecisionRequest {
    /// Who.
    by: String,
    /// Yes or no.
    approved: bool,
    /// What else they have to say.
    comment: Option<String>,
    /// What `formSchema` asks for.
    #[schema(value_type = serde_json::Value)]
    form: Option<Value>,
}

/// Lists the questions that wait for an answer.
#[utoipa::path(get, path = "/api/approvals", operation_id = "list_approvals", params(ApprovalsQuery),
    responses((status = 200, body = ApprovalPage)))]
pub(crate) async fn list(
    State(state): Shared,
    QueryOf(query): QueryOf<ApprovalsQuery>,
) -> Result<Json<ApprovalPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let (approver, after) = (query.approver.as_deref(), query.cursor);
    let found =
        state.store.approvals(state.namespace(), approver, after, i64::from(limit) + 1).await?;
    let more = found.len() > limit as usize;
    let page: Vec<_> = found.into_iter().take(limit as usize).collect();
    let next_cursor = page.last().filter(|_| more).map(|it| it.execution_id);
    let items = page.into_iter().filter_map(|PendingApproval { execution_id, workflow, state }| {
        view(execution_id, workflow, &state, None)
    });
    Ok(Json(ApprovalPage { items: items.collect(), next_cursor }))
}

/// What an execution asks.
#[utoipa::path(get, path = "/api/approvals/{id}", operation_id = "get_approval", params(("id" = Uuid, Path)),
    responses((status = 200, body = ApprovalView), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(state): Shared,
    Path(id): Path<String>,
) -> Result<Json<ApprovalView>, ApiError> {
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    let form_schema = form_schema(&state, &execution).await?;
    let asks = view(execution.id, execution.workflow, &execution.state, form_schema);
    asks.map(Json).ok_or_else(|| {
        let detail = format!("execution {id} asks nothing just now");
        ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail)
    })
}

/// Says yes or no. Who says it and when is on record with the execution.
#[utoipa::path(post, path = "/api/approvals/{id}/decide", operation_id = "decide_approval", params(("id" = Uuid, Path)),
    request_body = DecisionRequest, responses(
        (status = 202, body = SignalView),
        (status = 403, body = Problem, description = "others are asked"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "they have decided already, or it asks nothing just now"),
        (status = 422, body = Problem, description = "the form is not what is asked for"),
))]
pub(crate) async fn decide(
    State(state): Shared,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<DecisionRequest>,
) -> Result<(StatusCode, Json<SignalView>), ApiError> {
    check_lengths(&request)?;
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    let Some((step, asked)) = asked(&execution.state) else {
        let detail = format!("execution {id} is {} and asks nothing", execution.status);
        return Err(ApiError::conflict("NOTHING_ASKED", detail));
    };
    asked.permits(&request.by).map_err(|why| not_asked(why, &request.by, asked))?;
    if request.approved {
        check_form(form_schema(&state, &execution).await?.as_ref(), request.form.as_ref())?;
    }
    let DecisionRequest { by, approved, comment, form } = request;
    // One decision of each person: the same again is the same signal.
    let key = format!("{step}/{}/{by}", execution.state.visits);
    let data = json!({ "by": by, "approved": approved, "comment": comment, "form": form });
    messages::send(&state, execution.id, approval_name(step), data, Some(key)).await
}

fn check_lengths(request: &DecisionRequest) -> Result<(), ApiError> {
    let by = (1..=MAX_PERSON_BYTES).contains(&request.by.len()) && !request.by.contains('\0');
    let comment = request.comment.as_ref().is_none_or(|it| it.len() <= MAX_COMMENT_BYTES);
    if by && comment {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "`by` has 1 to {MAX_PERSON_BYTES} bytes, `comment` up to {MAX_COMMENT_BYTES}"
    )))
}

fn not_asked(why: NotAsked, by: &str, asked: &Asked) -> ApiError {
    match why {
        NotAsked::Stranger => {
            let detail = format!("`{by}` is not asked; asked are {}", asked.approvers.join(", "));
            ApiError::new(StatusCode::FORBIDDEN, "NOT_ASKED", detail)
        }
        NotAsked::Again => {
            let detail = format!("`{by}` has decided already: it asks for different people");
            ApiError::conflict("ALREADY_DECIDED", detail)
        }
    }
}

fn check_form(schema: Option<&Value>, form: Option<&Value>) -> Result<(), ApiError> {
    let Some(schema) = schema else { return Ok(()) };
    let mut problems = check_instance(schema, form.unwrap_or(&json!({})));
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &mut problems {
        problem.pointer = format!("/form{}", problem.pointer);
    }
    Err(ApiError::unprocessable("FORM_INVALID", "the form is not what is asked for", problems))
}

async fn form_schema(state: &ApiState, execution: &Execution) -> Result<Option<Value>, ApiError> {
    let Some((step, _)) = asked(&execution.state) else { return Ok(None) };
    let steps = state.steps(execution).await?;
    let config = steps.iter().find(|it| it.id == step).and_then(Control::of);
    Ok(match config {
        Some(Control::Approval(approval)) => approval.form_schema,
        _ => None,
    })
}

fn asked(state: &engine::machine::State) -> Option<(&str, &Asked)> {
    let cursor = state.cursor.as_ref()?;
    Some((&cursor.step, cursor.listening()?.asked.as_ref()?))
}

fn view(
    id: Uuid,
    workflow: String,
    state: &engine::machine::State,
    form_schema: Option<Value>,
) -> Option<ApprovalView> {
    let cursor = state.cursor.as_ref()?;
    let asked = cursor.listening()?.asked.as_ref()?;
    Some(ApprovalView {
        id,
        workflow,
        step: cursor.step.clone(),
        message: asked.message.clone(),
        approvers: asked.approvers.clone(),
        count: asked.count,
        decisions: json!(asked.decisions),
        form_schema,
        since: cursor.started_at,
        until: cursor.until,
    })
}
