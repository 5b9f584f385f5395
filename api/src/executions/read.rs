//! Reading executions: the list, one with its steps, its timeline.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::response::Json;
use chrono::{DateTime, SubsecRound, Utc};
use engine::failure::ErrorCode;
use engine::machine::ExecutionStatus;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::executions::{Attempt, Execution, StepOutput};
use store::families::Family;
use store::listing::{Effort, Filter, Summary};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::{QueryOf, execution_id, page_size};
use crate::router::Shared;
use crate::state::ApiState;

/// A step's output that is larger than this, in bytes, is left out of the execution's document.
const MAX_SHOWN_OUTPUT: i32 = 64 << 10;
/// Attempts in one page of a timeline.
const TIMELINE_PAGE: u16 = 1_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct ListQuery {
    /// Id or name.
    workflow: Option<String>,
    /// `pending`, `running`, `waiting`, `succeeded`, `failed` or `cancelled`.
    #[param(value_type = Option<String>)]
    status: Option<ExecutionStatus>,
    version: Option<i32>,
    /// `name:value`; the execution has to carry it.
    label: Option<String>,
    /// Created at or after this instant.
    since: Option<DateTime<Utc>>,
    /// Created before this instant.
    until: Option<DateTime<Utc>>,
    /// An error code.
    #[param(value_type = Option<String>)]
    error: Option<ErrorCode>,
    /// Part of the workflow's name, the beginning of the id, the value of a label, or a term: a value of the input at one of the
    /// places that the workflow's `searchable` names. All of it in whatever case; values and terms as a whole.
    q: Option<String>,
    /// Those that have failed and wait for somebody to look at them; or all others.
    pub(super) dead_letter: Option<bool>,
    /// 1 to 500; 50 if not given.
    pub(super) limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub(super) cursor: Option<Uuid>,
}

/// What dead letters are narrowed by.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct DeadLetterQuery {
    /// Id or name.
    workflow: Option<String>,
    /// An error code.
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    error: Option<ErrorCode>,
    /// Started at or after this instant.
    since: Option<DateTime<Utc>>,
    /// Started before this instant.
    until: Option<DateTime<Utc>>,
    /// 1 to 500; 50 if not given.
    pub(crate) limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub(crate) cursor: Option<Uuid>,
}

impl From<DeadLetterQuery> for ListQuery {
    fn from(it: DeadLetterQuery) -> Self {
        Self {
            workflow: it.workflow,
            error: it.error,
            since: it.since,
            until: it.until,
            limit: it.limit,
            cursor: it.cursor,
            dead_letter: Some(true),
            ..Self::default()
        }
    }
}

/// An execution in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SummaryView {
    id: Uuid,
    workflow: String,
    version: i32,
    status: String,
    #[schema(value_type = Object)]
    labels: Value,
    error_code: Option<String>,
    created_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Summary> for SummaryView {
    fn from(it: Summary) -> Self {
        Self {
            created_at: created_at(it.id),
            id: it.id,
            workflow: it.workflow,
            version: it.version,
            status: it.status,
            labels: it.labels,
            error_code: it.error_code,
            started_at: it.started_at,
            finished_at: it.finished_at,
        }
    }
}

/// A page of executions. It may have fewer than were asked for, or none, though there are more: where few of very many are
/// sought, it ends after a while, and `nextCursor` goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutionPage {
    items: Vec<SummaryView>,
    next_cursor: Option<Uuid>,
}

/// Lists executions, newest first.
#[utoipa::path(get, path = "/api/executions", operation_id = "list_executions",
    params(ListQuery), responses((status = 200, body = ExecutionPage), (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(state): Shared,
    QueryOf(query): QueryOf<ListQuery>,
) -> Result<Json<ExecutionPage>, ApiError> {
    let limit = page_size(query.limit)?;
    let filter = filter_of(&state, query).await?;
    let page = state.store.list(state.namespace(), &filter, limit as usize, Effort::BRIEF).await?;
    let items = page.items.into_iter().map(Into::into).collect();
    Ok(Json(ExecutionPage { items, next_cursor: page.next }))
}

/// One that was archived is found by its id: its executions are still there.
async fn workflow_id(state: &ApiState, name_or_id: &str) -> Result<Uuid, ApiError> {
    let found = state.store.workflow(state.namespace(), name_or_id).await;
    match (found, Uuid::parse_str(name_or_id)) {
        (Ok(workflow), _) => Ok(workflow.id),
        (Err(StoreError::NotFound { .. }), Ok(id)) => Ok(id),
        (Err(error), _) => Err(error.into()),
    }
}

/// What a list is narrowed by.
pub(crate) async fn filter_of(state: &ApiState, query: ListQuery) -> Result<Filter, ApiError> {
    let workflow_id = match &query.workflow {
        Some(workflow) => Some(workflow_id(state, workflow).await?),
        None => None,
    };
    Ok(Filter {
        workflow_id,
        status: query.status.map(|it| it.as_str().to_owned()),
        version: query.version,
        labels: query.label.as_deref().map(label).transpose()?,
        error: query.error.map(|it| it.as_str().to_owned()),
        since: query.since.map(in_ids),
        until: query.until.map(in_ids),
        before: query.cursor,
        text: query.q,
        dead_letter: query.dead_letter,
    })
}

fn label(text: &str) -> Result<Value, ApiError> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| ApiError::bad_request("`label` is written as name:value"))?;
    Ok(json!({ name: value }))
}

/// The nearest instant that an id can hold: it has 48 bits of milliseconds since 1970.
pub(super) fn in_ids(instant: DateTime<Utc>) -> DateTime<Utc> {
    let last = DateTime::from_timestamp_millis((1 << 48) - 1).unwrap_or(DateTime::<Utc>::MAX_UTC);
    instant.clamp(DateTime::<Utc>::UNIX_EPOCH, last)
}

/// One execution with its steps.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExecutionView {
    id: Uuid,
    workflow: String,
    version: i32,
    status: String,
    #[schema(value_type = serde_json::Value)]
    input: Value,
    #[schema(value_type = serde_json::Value)]
    output: Option<Value>,
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    #[schema(value_type = Object)]
    labels: Value,
    created_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    deadline_at: Option<DateTime<Utc>>,
    /// The execution that it is a fork of.
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_from: Option<Uuid>,
    /// It has failed, and waits for somebody to look at it.
    dead_letter: bool,
    /// It is being undone, and has this status then.
    #[serde(skip_serializing_if = "Option::is_none")]
    unwinding: Option<&'static str>,
    /// The execution that has begun it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<Uuid>,
    /// The block of its parent that it runs, such as `each` or `fan.left`.
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<String>,
    /// Its place among its siblings, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    steps: Vec<StepView>,
}

/// A step of an execution.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StepView {
    id: String,
    #[serde(rename = "type")]
    step_type: String,
    name: Option<String>,
    status: String,
    attempts: u32,
    #[schema(value_type = serde_json::Value)]
    output: Option<Value>,
    /// The output's size, when it is too large to be shown here.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_bytes: Option<i32>,
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    /// How far the executions are that it has begun last.
    #[serde(skip_serializing_if = "Option::is_none")]
    children: Option<FamilyView>,
}

/// Executions that a step has begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FamilyView {
    total: i32,
    ended: i32,
    failed: i32,
}

impl From<&Family> for FamilyView {
    fn from(it: &Family) -> Self {
        Self { total: it.total, ended: it.ended, failed: it.failed }
    }
}

/// One execution with its steps.
#[utoipa::path(get, path = "/api/executions/{id}", operation_id = "get_execution",
    params(("id" = Uuid, Path)), responses(
    (status = 200, body = ExecutionView), (status = 404, body = Problem),
))]
pub(crate) async fn get(
    State(state): Shared,
    Path(id): Path<String>,
) -> Result<Json<ExecutionView>, ApiError> {
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    let steps = state.steps(&execution).await?;
    let families = state.store.newest_families(execution.id).await?;
    let families: HashMap<_, _> = families.into_iter().map(|it| (it.step_id.clone(), it)).collect();
    let outputs = state.store.step_outputs(execution.id, MAX_SHOWN_OUTPUT).await?;
    let mut outputs: HashMap<_, _> =
        outputs.into_iter().map(|it| (it.step_id.clone(), it)).collect();
    let steps = steps
        .iter()
        .map(|step| StepView {
            children: families.get(&step.id).map(Into::into),
            ..step_view(step, &execution, &mut outputs)
        })
        .collect();
    Ok(Json(ExecutionView {
        id: execution.id,
        created_at: created_at(execution.id),
        workflow: execution.workflow,
        version: execution.version,
        status: execution.status,
        input: execution.input,
        output: execution.output,
        error: execution.failure.map(|failure| json!(failure)),
        labels: execution.labels,
        started_at: execution.started_at,
        finished_at: execution.finished_at,
        deadline_at: execution.state.deadline_at,
        forked_from: execution.state.fork.map(|fork| fork.of),
        dead_letter: execution.dead_letter,
        unwinding: execution.state.unwinding.as_ref().map(|it| it.status.as_str()),
        parent_id: execution.kinship.as_ref().map(|kin| kin.parent_id),
        index: execution.kinship.as_ref().map(|kin| kin.ordinal),
        block: execution.kinship.and_then(|kin| kin.block),
        steps,
    }))
}

fn step_view(
    step: &engine::definition::Step,
    execution: &Execution,
    outputs: &mut HashMap<String, StepOutput>,
) -> StepView {
    let known = execution.state.steps.get(&step.id);
    let status = known.map_or("pending", |it| it.status.as_str());
    let output = outputs.remove(&step.id).filter(|_| status == "succeeded");
    let hidden = output.as_ref().filter(|it| it.output.is_none()).map(|it| it.bytes);
    StepView {
        id: step.id.clone(),
        step_type: step.step_type.clone(),
        name: step.name.clone(),
        status: status.to_owned(),
        attempts: known.map_or(0, |it| it.attempts),
        output: output.and_then(|it| it.output),
        output_bytes: hidden,
        error: known.and_then(|it| it.error.clone()),
        children: None,
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimelineQuery {
    /// `nextCursor` of the page before.
    cursor: Option<i32>,
}

/// An execution's history.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeline {
    status: String,
    items: Vec<AttemptView>,
    next_cursor: Option<i32>,
    /// Results that came after their lease was gone: kept, never applied.
    #[schema(value_type = Vec<Object>)]
    late: Vec<Value>,
}

/// An attempt that ended, a step that was skipped, or the attempt under way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttemptView {
    step: String,
    attempt: i64,
    status: String,
    started_at: DateTime<Utc>,
    /// It waits, until then at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    duration_ms: Option<f64>,
    worker: Option<Uuid>,
    #[schema(value_type = Option<Object>)]
    error: Option<Value>,
    /// How far the attempt under way says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl From<Attempt> for AttemptView {
    fn from(it: Attempt) -> Self {
        let took = it.finished_at - it.started_at;
        Self {
            step: it.step_id,
            attempt: i64::from(it.attempt),
            status: it.status,
            started_at: it.started_at,
            until: None,
            finished_at: Some(it.finished_at),
            duration_ms: Some((took.as_seconds_f64() * 1e6).round() / 1e3),
            worker: Some(it.worker_id),
            error: it.failure.map(|failure| json!(failure)),
            note: None,
        }
    }
}

/// An execution's history, oldest first, with the attempt under way at its end.
#[utoipa::path(get, path = "/api/executions/{id}/timeline", params(("id" = Uuid, Path), TimelineQuery), responses(
    (status = 200, body = Timeline), (status = 404, body = Problem),
))]
pub(crate) async fn timeline(
    State(state): Shared,
    Path(id): Path<String>,
    QueryOf(query): QueryOf<TimelineQuery>,
) -> Result<Json<Timeline>, ApiError> {
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    let attempts = state
        .store
        .attempts(execution.id, query.cursor.unwrap_or(0), i64::from(TIMELINE_PAGE))
        .await?;
    let full = attempts.len() == usize::from(TIMELINE_PAGE);
    let next_cursor = attempts.last().filter(|_| full).map(|it| it.sequence);
    let mut items: Vec<AttemptView> = attempts.into_iter().map(Into::into).collect();
    if next_cursor.is_none() {
        items.extend(under_way(&execution));
    }
    let late = state.store.late_results(execution.id).await?;
    let late = late.into_iter().map(|it| {
        json!({ "step": it.step_id, "attempt": it.attempt, "status": it.status, "worker": it.worker_id,
                "leaseEpoch": it.lease_epoch, "recordedAt": it.recorded_at })
    });
    Ok(Json(Timeline { status: execution.status, items, next_cursor, late: late.collect() }))
}

fn under_way(execution: &Execution) -> Option<AttemptView> {
    let cursor = execution.state.cursor.as_ref()?;
    Some(AttemptView {
        step: cursor.step.clone(),
        attempt: i64::from(cursor.attempt),
        status: execution.status.clone(),
        started_at: cursor.started_at.trunc_subsecs(6),
        until: cursor.until.map(|it| it.trunc_subsecs(6)),
        finished_at: None,
        duration_ms: None,
        worker: None,
        error: None,
        note: cursor.note.as_ref().map(|note| note.text.clone()),
    })
}

/// The instant in a `UUIDv7`.
pub(crate) fn created_at(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}
