//! Starting executions, and waiting for their end.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use chrono::{DateTime, TimeDelta, Utc};
use engine::definition::{Definition, MAX_DURATION_MS, MAX_PAYLOAD_BYTES};
use engine::labels::{self, Labels};
use engine::machine;
use engine::searchable::Terms;
use engine::trace::TraceParent;
use engine::validate::check_instance;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use store::starts::{NewExecution, StartError, Started};
use store::wakeups::{EndWatch, News};
use store::workflows::Workflow;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::admission::{Admissible, Admitted};
use crate::error::{ApiError, Problem};
use crate::extract::{JsonText, QueryOf, check_key, idempotency_key, objects};
use crate::router::{MAX_BATCH_BYTES, MAX_START_BYTES, Shared};
use crate::state::ApiState;
use crate::trace;

/// Executions of one batch.
const MAX_BATCH: usize = 10_000;
/// Problems that one answer names.
const MAX_PROBLEMS: usize = 100;
/// How often a start is tried again because the workflow has got a newer version meanwhile.
const STALE_TRIES: u32 = 3;
/// How often a waiting request looks for itself, should a notification have been missed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An execution to start.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schema(example = json!({ "input": { "name": "Ada" }, "labels": { "team": "sales" } }))]
pub(crate) struct StartRequest {
    /// Anything that the workflow's `inputSchema` accepts.
    #[schema(value_type = serde_json::Value)]
    input: JsonText,
    /// The same key again gives the same execution.
    idempotency_key: Option<String>,
    /// Another version than the newest.
    version: Option<i32>,
    /// For finding it again.
    #[schema(inline)]
    labels: Labels,
    /// Not before so many milliseconds from now.
    delay_ms: Option<u64>,
}

/// Executions to start, all or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "executions": [
    { "input": { "name": "Ada" }, "idempotencyKey": "signup-1" },
    { "input": { "name": "Grace" }, "idempotencyKey": "signup-2" },
] }))]
pub(crate) struct BatchRequest {
    #[serde(deserialize_with = "objects")]
    executions: Vec<StartRequest>,
}

impl Admissible for StartRequest {
    /// Besides its body it has a connection, a task and a place in a group.
    const LEAST_BYTES: usize = 42 << 10;
    const MOST_BYTES: usize = MAX_START_BYTES;
}

impl Admissible for BatchRequest {
    /// Ten thousand executions are held as parsed JSON and as columns.
    const LEAST_BYTES: usize = 4 << 20;
    const MOST_BYTES: usize = MAX_BATCH_BYTES;
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    /// Wait so many milliseconds for the end, and answer with the result.
    wait: Option<u64>,
}

/// A started execution; with its result, if it was waited for and has ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StartView {
    id: Uuid,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = serde_json::Value, required = false)]
    output: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, required = false)]
    error: Option<Box<RawValue>>,
}

/// Starts an execution.
#[utoipa::path(post, path = "/api/workflows/{workflow}/execute",
    params(("workflow" = String, Path), WaitQuery), request_body = StartRequest, responses(
        (status = 202, body = StartView),
        (status = 200, body = StartView, description = "with ?wait=: it has ended"),
        (status = 404, body = Problem),
        (status = 422, body = Problem, description = "the input is not what the workflow takes"),
        (status = 429, body = Problem, description = "more is being started than the database takes"),
))]
pub(crate) async fn execute(
    State(state): Shared,
    Path(workflow): Path<String>,
    QueryOf(query): QueryOf<WaitQuery>,
    headers: HeaderMap,
    Admitted { body: mut request, room }: Admitted<StartRequest>,
) -> Result<(StatusCode, Json<StartView>), ApiError> {
    let wait = query.wait.map(Duration::from_millis);
    if wait.is_some_and(|wait| wait > state.max_wait) {
        let most = state.max_wait.as_millis();
        return Err(ApiError::bad_request(format!(
            "`wait` is at most {most} ms; follow longer executions by id"
        )));
    }
    if let Some(key) = idempotency_key(&headers)? {
        request.idempotency_key = Some(key);
    }
    let caller = trace::caller(&headers);
    let mut tries = 0;
    let (started, watch) = loop {
        let known = state.workflow(&workflow).await?;
        let mut new = prepare(&state, &known, &request, caller).await?;
        new.watched = wait.is_some();
        let watch = wait.map(|_| state.wakeups.watch_end(new.id));
        match state.starter.start(new).await {
            Err(StartError::Stale) if tries < STALE_TRIES => {
                state.forget_workflow(&workflow).await;
                tries += 1;
            }
            started => break (started?, watch),
        }
    };
    drop(room);
    // The key may have given an execution that is not the one watched.
    let watch =
        watch.map(|watch| if started.fresh { watch } else { state.wakeups.watch_end(started.id) });
    if let (Some(wait), Some(watch)) = (wait, watch)
        && let Some(ended) = wait_for_end(&state, started, wait, watch).await?
    {
        return Ok((StatusCode::OK, Json(ended)));
    }
    let status = if started.fresh {
        "pending".to_owned()
    } else {
        state.store.execution(state.namespace(), started.id).await?.status
    };
    Ok((
        StatusCode::ACCEPTED,
        Json(StartView { id: started.id, status, output: None, error: None }),
    ))
}

/// Starts up to 10,000 executions, all or none.
#[utoipa::path(post, path = "/api/workflows/{workflow}/execute/batch", params(("workflow" = String, Path)),
    request_body = BatchRequest, responses(
        (status = 202, body = Object),
        (status = 404, body = Problem),
        (status = 422, body = Problem),
        (status = 429, body = Problem),
))]
pub(crate) async fn execute_batch(
    State(state): Shared,
    Path(workflow): Path<String>,
    headers: HeaderMap,
    Admitted { body: batch, room: _room }: Admitted<BatchRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let count = batch.executions.len();
    if count == 0 || count > MAX_BATCH {
        return Err(ApiError::bad_request(format!(
            "a batch has 1 to {MAX_BATCH} executions, not {count}"
        )));
    }
    let caller = trace::caller(&headers);
    for _ in 0..=STALE_TRIES {
        let known = state.workflow(&workflow).await?;
        let new = prepare_all(&state, &known, &batch.executions, caller).await?;
        if let Some(started) = state.store.start_executions(&new).await? {
            state.wakeups.work(count);
            let ids: Vec<_> = started.into_iter().map(|started| started.id).collect();
            return Ok((StatusCode::ACCEPTED, Json(json!({ "ids": ids }))));
        }
        state.forget_workflow(&workflow).await;
    }
    Err(StartError::Stale.into())
}

/// Checks all requests of a batch. What is wrong with any of them is wrong with the batch; each problem points at the
/// execution that has it.
async fn prepare_all(
    state: &ApiState,
    workflow: &Workflow,
    requests: &[StartRequest],
    caller: Option<TraceParent>,
) -> Result<Vec<NewExecution>, ApiError> {
    let mut new = Vec::with_capacity(requests.len());
    let mut problems = Vec::new();
    for (at, request) in requests.iter().enumerate() {
        match prepare(state, workflow, request, caller).await {
            Ok(execution) => new.push(execution),
            Err(error) if error.is_ours() => return Err(error),
            Err(error) if problems.len() < MAX_PROBLEMS => {
                problems.extend(error.within(&format!("/executions/{at}")));
            }
            Err(_) => {}
        }
    }
    if problems.is_empty() {
        return Ok(new);
    }
    let bad = requests.len() - new.len();
    let detail = format!("{bad} of {} executions cannot start, so none did", requests.len());
    Err(ApiError::unprocessable("BATCH_INVALID", &detail, problems))
}

/// Checks a request against the version that it is for.
async fn prepare(
    state: &ApiState,
    workflow: &Workflow,
    request: &StartRequest,
    caller: Option<TraceParent>,
) -> Result<NewExecution, ApiError> {
    let id = Uuid::now_v7();
    let version = request.version.unwrap_or_else(|| workflow.pick(id));
    let definition = state.definition(workflow.id, version).await?;
    let terms = check_input(&definition, request.input.as_str())?;
    labels::check(&request.labels).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let now = Utc::now();
    Ok(NewExecution {
        id,
        namespace_id: state.namespace(),
        workflow_id: workflow.id,
        version,
        pinned: request.version.is_some(),
        revision: workflow.revision,
        state: machine::State { trace: caller, ..machine::State::new(now, definition.deadline_ms) },
        input: request.input.shared(),
        terms,
        labels: request.labels.clone(),
        due_at: request.delay_ms.map(|delay| due_at(now, delay)).transpose()?,
        idempotency_key: request.idempotency_key.as_deref().map(check_key).transpose()?,
        watched: false,
    })
}

/// Returns what the execution is found by out of its input. The input is parsed only if something looks into it.
fn check_input(definition: &Definition, input: &str) -> Result<Terms, ApiError> {
    if input.len() > MAX_PAYLOAD_BYTES {
        return Err(ApiError::too_large("an input", MAX_PAYLOAD_BYTES));
    }
    if definition.input_schema.is_none() && definition.searchable.is_empty() {
        return Ok(Terms::default());
    }
    let value = parsed(input);
    let schema = definition.input_schema.as_ref();
    let mut problems = schema.map_or_else(Vec::new, |schema| check_instance(schema, &value));
    if problems.is_empty() {
        return Ok(Terms::of(&definition.searchable, &value));
    }
    for problem in &mut problems {
        problem.pointer = format!("/input{}", problem.pointer);
    }
    let detail = format!("the input is not what workflow `{}` takes", definition.name);
    Err(ApiError::unprocessable("INPUT_INVALID", &detail, problems))
}

/// Its text was parsed before, when it came in.
fn parsed(input: &str) -> Value {
    serde_json::from_str(input).expect("it was parsed before")
}

fn due_at(now: DateTime<Utc>, delay_ms: u64) -> Result<DateTime<Utc>, ApiError> {
    let within = i64::try_from(delay_ms).ok().filter(|_| delay_ms <= MAX_DURATION_MS);
    within
        .map(|delay| now + TimeDelta::milliseconds(delay))
        .ok_or_else(|| ApiError::bad_request(format!("`delayMs` is at most {MAX_DURATION_MS}")))
}

/// The result, once there is one; `None` if the time is up first.
async fn wait_for_end(
    state: &ApiState,
    started: Started,
    wait: Duration,
    mut watch: EndWatch,
) -> Result<Option<StartView>, ApiError> {
    let until = Instant::now() + wait;
    // What had been started before may have ended before.
    let mut look_at = if started.fresh { Instant::now() + LOOK_EVERY } else { Instant::now() };
    loop {
        tokio::select! {
            news = watch.news() => if let News::Ended(ended) = news {
                return Ok(Some(StartView {
                    id: ended.id,
                    status: ended.status.to_owned(),
                    output: ended.output,
                    error: ended.failure,
                }));
            },
            () = tokio::time::sleep_until(look_at.min(until)) => {}
        }
        let execution = state.store.execution(state.namespace(), started.id).await?;
        if execution.finished_at.is_some() {
            return Ok(Some(StartView {
                id: started.id,
                status: execution.status,
                output: execution.output.map(|output| raw(&output)),
                error: execution.failure.map(|failure| raw(&failure)),
            }));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        look_at = Instant::now() + LOOK_EVERY;
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("values and failures always print as JSON")
}
