//! `/api/events`, signals and callbacks: what executions wait for, and what starts some.

mod cloud_events;

use std::sync::Arc;

use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use engine::definition::MAX_PAYLOAD_BYTES;
use engine::message::{MAX_NAME_BYTES, is_event_name, token_name};
use engine::trace::TraceParent;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::messages::{NewEvent, NewSignal, Sent};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::{
    JsonBody, JsonText, RawBody, check_json, check_key, execution_id, idempotency_key, parse_object,
};
use crate::router::Shared;
use crate::state::ApiState;
use crate::trace;

/// An event to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "event": "order.paid", "data": { "id": "A-1" } }))]
pub(crate) struct EventRequest {
    /// The sender's own id: the same again is the same event.
    id: Option<String>,
    /// Its name, such as `order.paid`.
    event: String,
    /// What it says.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    data: JsonText,
}

/// An event that was stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    id: Uuid,
    /// It had been sent before, and nothing was done this time.
    duplicate: bool,
}

/// The events of a batch that were stored, in its order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventsView {
    items: Vec<EventView>,
}

/// An event or a batch.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EventAnswer {
    /// One event.
    One(EventView),
    /// A batch of CloudEvents.
    Batch(EventsView),
}

/// An event that is to be stored.
pub(crate) struct Draft {
    name: String,
    data: Arc<str>,
    key: Option<String>,
    trace: Option<TraceParent>,
}

impl Draft {
    /// What is wrong with it, if something is.
    fn fault(&self) -> Option<String> {
        if !is_event_name(&self.name) {
            return Some(bad_name());
        }
        (self.data.len() > MAX_PAYLOAD_BYTES)
            .then(|| format!("an event's data may have {MAX_PAYLOAD_BYTES} bytes"))
    }
}

/// Sends an event: to every execution that waits for it, and to the workflows that it starts. Takes CloudEvents 1.0, too:
/// structured, binary (in headers), and in batches of up to 1,000.
#[utoipa::path(post, path = "/api/events", operation_id = "send_event",
    request_body(content(
        (EventRequest = "application/json"),
        (Object = "application/cloudevents+json", example = json!(cloud_events::example(1))),
        (Vec<Object> = "application/cloudevents-batch+json",
            example = json!([cloud_events::example(1), cloud_events::example(2)])),
    )),
    responses(
        (status = 202, body = EventAnswer),
        (status = 400, body = Problem),
        (status = 413, body = Problem),
        (status = 415, body = Problem),
        (status = 422, body = Problem, description = "a CloudEvent is not valid"),
))]
pub(crate) async fn event(
    State(state): Shared,
    headers: HeaderMap,
    request: Request,
) -> Result<(StatusCode, Json<EventAnswer>), ApiError> {
    let RawBody(body) = RawBody::from_request(request, &state).await?;
    let (drafts, is_batch) = match cloud_events::read(&headers, &body)? {
        cloud_events::Sent::Others => (vec![own(&headers, &body)?], false),
        cloud_events::Sent::One(draft) => (vec![draft], false),
        cloud_events::Sent::Batch(drafts) => (drafts, true),
    };
    let mut items = store_events(&state, drafts).await?;
    let answer = match items.pop() {
        Some(item) if !is_batch => EventAnswer::One(item),
        last => {
            items.extend(last);
            EventAnswer::Batch(EventsView { items })
        }
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// An event in our own form.
fn own(headers: &HeaderMap, body: &[u8]) -> Result<Draft, ApiError> {
    check_json(headers)?;
    let request: EventRequest = parse_object(body)?;
    check_name(&request.event)?;
    if request.data.as_str().len() > MAX_PAYLOAD_BYTES {
        return Err(ApiError::too_large("an event's data", MAX_PAYLOAD_BYTES));
    }
    let key = request.id.as_deref().map(check_key).transpose()?;
    let key = key.or(idempotency_key(headers)?);
    Ok(Draft {
        name: request.event,
        data: request.data.shared(),
        key,
        trace: trace::caller(headers),
    })
}

async fn store_events(state: &ApiState, drafts: Vec<Draft>) -> Result<Vec<EventView>, ApiError> {
    let new = |draft: Draft| NewEvent {
        id: Uuid::now_v7(),
        namespace_id: state.namespace(),
        name: draft.name,
        data: draft.data,
        key: draft.key,
        trace: draft.trace,
    };
    let new: Vec<_> = drafts.into_iter().map(new).collect();
    let fresh = state.events.post(new.clone()).await?;
    if fresh.contains(&true) {
        state.wakeups.messages();
    }
    let mut views = Vec::with_capacity(new.len());
    for (event, fresh) in new.into_iter().zip(fresh) {
        views.push(match (fresh, event.key) {
            (false, Some(key)) => {
                let known = state.store.message_by_key(event.namespace_id, &key).await?;
                let id = known.ok_or_else(|| ApiError::from(store::StoreError::Closing))?;
                EventView { id, duplicate: true }
            }
            _ => EventView { id: event.id, duplicate: false },
        });
    }
    Ok(views)
}

/// A signal to an execution.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "go", "data": {} }))]
pub(crate) struct SignalRequest {
    /// The sender's own id: the same again is the same signal.
    id: Option<String>,
    /// The name of the event that the execution waits for.
    name: String,
    /// What it says.
    #[serde(default)]
    #[schema(value_type = serde_json::Value)]
    data: Value,
}

/// What became of a signal.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignalView {
    /// The execution.
    id: Uuid,
    /// It had been sent before, and nothing was done this time.
    duplicate: bool,
}

/// Sends a signal to one execution. It is kept until a step waits for it.
#[utoipa::path(post, path = "/api/executions/{id}/signal", operation_id = "send_signal", params(("id" = Uuid, Path)),
    request_body = SignalRequest, responses(
        (status = 202, body = SignalView),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "it has already ended"),
))]
pub(crate) async fn signal(
    State(state): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<SignalRequest>,
) -> Result<(StatusCode, Json<SignalView>), ApiError> {
    check_name(&request.name)?;
    let key = request.id.as_deref().map(check_key).transpose()?;
    let key = key.or(idempotency_key(&headers)?);
    let execution = execution_id(&id)?;
    send(&state, execution, request.name, request.data, key).await
}

/// Completes a step that waits for a callback: the body is its output.
#[utoipa::path(post, path = "/api/tokens/{token}", operation_id = "complete_token", params(("token" = String, Path)),
    request_body(content = Object, example = json!({ "confirmed": true })), responses(
        (status = 202, body = SignalView),
        (status = 404, body = Problem, description = "there is no such token"),
        (status = 409, body = Problem, description = "the execution has already ended"),
))]
pub(crate) async fn token(
    State(state): Shared,
    Path(token): Path<String>,
    headers: HeaderMap,
    JsonBody(data): JsonBody<serde_json::Map<String, Value>>,
) -> Result<(StatusCode, Json<SignalView>), ApiError> {
    let key = state.callback_key().await?;
    let Some((execution, step)) = key.read(&token) else {
        let detail = "there is no such wait token, or it was cut off";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail));
    };
    send(&state, execution, token_name(&step), Value::Object(data), idempotency_key(&headers)?)
        .await
}

/// Stores a signal. An execution that has ended takes none.
pub(crate) async fn send(
    state: &ApiState,
    execution_id: Uuid,
    name: String,
    data: Value,
    key: Option<String>,
) -> Result<(StatusCode, Json<SignalView>), ApiError> {
    if engine::expression::json_size(&data) > MAX_PAYLOAD_BYTES {
        return Err(ApiError::too_large("a signal's data", MAX_PAYLOAD_BYTES));
    }
    let new = NewSignal {
        id: Uuid::now_v7(),
        namespace_id: state.namespace(),
        execution_id,
        name,
        data,
        // Keys of signals are their executions' own.
        key: key.map(|key| format!("{execution_id}/{key}")),
    };
    match state.store.signal(&new, &state.wakeups).await? {
        Sent::Nobody => {
            let execution = state.store.execution(state.namespace(), execution_id).await?;
            let detail = format!("execution {execution_id} has already {}", execution.status);
            Err(ApiError::conflict("EXECUTION_ENDED", detail))
        }
        sent => {
            let view = SignalView { id: execution_id, duplicate: sent == Sent::Again };
            Ok((StatusCode::ACCEPTED, Json(view)))
        }
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if is_event_name(name) {
        return Ok(());
    }
    Err(ApiError::bad_request(bad_name()))
}

fn bad_name() -> String {
    format!(
        "the name of an event has 1 to {MAX_NAME_BYTES} letters, digits, and `.`, `_`, `-`, `/`"
    )
}
