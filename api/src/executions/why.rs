//! Why an execution is not moving.

use axum::extract::{Path, State};
use axum::response::Json;
use chrono::{DateTime, SecondsFormat, Utc};
use engine::control::ControlType;
use engine::machine::{Cursor, ExecutionStatus, Listening};
use engine::message::is_event_name;
use serde::Serialize;
use store::executions::{Execution, QueuePlace};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::execution_id;
use crate::router::Shared;
use crate::state::ApiState;

/// The answer: `null` for an execution that has ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhyView {
    id: Uuid,
    status: String,
    reason: Option<Reason>,
    /// The reason as a sentence.
    message: String,
}

/// The reasons that there are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub(crate) enum Reason {
    /// It is due, and no worker has taken it.
    NoWorker {
        /// Since when.
        since: DateTime<Utc>,
        /// Whether there are workers at all.
        workers_alive: bool,
    },
    /// It waits for its next attempt, or for its delayed start.
    Backoff {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// It is at a `wait` step, or its step has suspended itself.
    WaitTimer {
        /// The step.
        step: String,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// It waits for an event or a signal, or for a callback.
    WaitEvent {
        /// The step.
        step: String,
        /// The event's name; none for a callback.
        event: Option<String>,
        /// Until when.
        until: Option<DateTime<Utc>>,
    },
    /// It waits for people.
    WaitApproval {
        /// The step.
        step: String,
        /// Who is asked; anybody, if nobody is named.
        approvers: Vec<String>,
        /// How many have to approve.
        count: u32,
        /// How many have.
        approved: usize,
        /// Until when.
        until: Option<DateTime<Utc>>,
    },
    /// It waits for executions that it has begun.
    WaitChildren {
        /// The step that began them.
        step: String,
        /// How many there are.
        total: i32,
        /// How many have ended.
        ended: i32,
        /// How many of those have not ended well.
        failed: i32,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// It is a child, and its parent lets no more run at the same time.
    Concurrency {
        /// The parent, whose step says how many may.
        held_by: Uuid,
    },
    /// It rests until somebody resumes it.
    Paused {
        /// What was said, or what happened.
        reason: Option<String>,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// A worker has it.
    Running {
        /// Who.
        worker: Uuid,
        /// The step whose attempt is under way; none right after the claim.
        step: Option<String>,
        /// Since when; right after the claim, since when it was due.
        since: DateTime<Utc>,
        /// How far the step says that it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
}

/// Says why an execution is not moving.
#[utoipa::path(get, path = "/api/executions/{id}/why", params(("id" = Uuid, Path)), responses(
    (status = 200, body = WhyView), (status = 404, body = Problem),
))]
pub(crate) async fn why(
    State(state): Shared,
    Path(id): Path<String>,
) -> Result<Json<WhyView>, ApiError> {
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    let place = state.store.queue_place(execution.id).await?;
    let reason = match by_others(&state, &execution).await? {
        Some(reason) => Some(reason),
        None => {
            let at_wait = is_at_a_wait(&state, &execution).await?;
            place.and_then(|place| reason(&execution, &place, at_wait))
        }
    };
    let message = reason.as_ref().map_or_else(|| ended(&execution.status), sentence);
    Ok(Json(WhyView { id: execution.id, status: execution.status, reason, message }))
}

fn ended(status: &str) -> String {
    let verb = if status == ExecutionStatus::Cancelled.as_str() { "was" } else { "has" };
    format!("it {verb} {status}")
}

/// Whether the step that it has come to is one that waits.
async fn is_at_a_wait(state: &ApiState, execution: &Execution) -> Result<bool, ApiError> {
    let Some(cursor) = &execution.state.cursor else { return Ok(false) };
    let steps = state.steps(execution).await?;
    let step = steps.iter().find(|step| step.id == cursor.step);
    Ok(step.is_some_and(|step| step.step_type == ControlType::Wait.as_str()))
}

/// A step that waits for a message.
fn for_message(cursor: &Cursor, listening: &Listening) -> Reason {
    let (step, until) = (cursor.step.clone(), cursor.until);
    match &listening.asked {
        Some(asked) => Reason::WaitApproval {
            step,
            approvers: asked.approvers.clone(),
            count: asked.count,
            approved: asked.decisions.len(),
            until,
        },
        None => {
            let event = is_event_name(&listening.name).then(|| listening.name.clone());
            Reason::WaitEvent { step, event, until }
        }
    }
}

/// Whom it waits for: its children, its siblings, somebody outside.
async fn by_others(state: &ApiState, execution: &Execution) -> Result<Option<Reason>, ApiError> {
    if let (ExecutionStatus::Pending, Some(kin)) = (execution.state.status, &execution.kinship) {
        let family = state.store.family(kin.parent_id, kin.visit).await?;
        let held_back =
            i64::from(kin.ordinal) >= i64::from(family.concurrency) + i64::from(family.ended);
        return Ok(held_back.then_some(Reason::Concurrency { held_by: kin.parent_id }));
    }
    let waiting = execution.state.status == ExecutionStatus::Waiting;
    let cursor = execution.state.cursor.as_ref().filter(|_| waiting);
    let Some(cursor) = cursor else { return Ok(None) };
    if let Some(listening) = cursor.listening() {
        return Ok(Some(for_message(cursor, listening)));
    }
    let Some((visit, _)) = cursor.children() else { return Ok(None) };
    let family = state.store.family(execution.id, visit).await?;
    Ok(Some(Reason::WaitChildren {
        step: cursor.step.clone(),
        total: family.total,
        ended: family.ended,
        failed: family.failed,
        since: family.begun_at,
    }))
}

fn reason(execution: &Execution, place: &QueuePlace, at_wait: bool) -> Option<Reason> {
    if execution.state.status.is_terminal() {
        return None;
    }
    if let (ExecutionStatus::Paused, Some(pause)) = (execution.state.status, &execution.state.pause)
    {
        return Some(Reason::Paused { reason: pause.reason.clone(), since: pause.since });
    }
    let cursor = execution.state.cursor.as_ref();
    let waits_until = cursor.and_then(|cursor| cursor.until);
    let suspended = cursor.is_some_and(|it| it.is_suspended() && it.failed + it.lost == 0);
    if let (true, Some(cursor), Some(until)) = (at_wait || suspended, cursor, waits_until)
        && (place.worker_id.is_some() || place.due_at > Utc::now())
    {
        return Some(Reason::WaitTimer { step: cursor.step.clone(), until });
    }
    Some(match (place.worker_id, waits_until) {
        (Some(_), Some(until)) => Reason::Backoff { until },
        (Some(worker), None) => Reason::Running {
            worker,
            step: cursor.map(|cursor| cursor.step.clone()),
            since: cursor.map_or(place.due_at, |cursor| cursor.started_at),
            note: cursor.and_then(|cursor| cursor.note.as_ref()).map(|note| note.text.clone()),
        },
        (None, _) if place.due_at > Utc::now() => Reason::Backoff { until: place.due_at },
        (None, _) => Reason::NoWorker { since: place.due_at, workers_alive: place.workers_alive },
    })
}

fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::NoWorker { workers_alive: true, .. } => {
            "it is due, and all workers are busy: start more, or raise WORKER_CONCURRENCY"
                .to_owned()
        }
        Reason::NoWorker { .. } => "no worker is alive: start `stateflow worker`".to_owned(),
        Reason::Backoff { until } => format!("it waits until {}", written(*until)),
        Reason::Paused { reason: Some(reason), since } => {
            format!("it is paused since {}, because {reason}: resume it to go on", written(*since))
        }
        Reason::Paused { reason: None, since } => {
            format!("it is paused since {}: resume it to go on", written(*since))
        }
        Reason::WaitEvent { step, event: Some(event), .. } => format!(
            "step `{step}` waits for the event `{event}`: POST /api/events, or signal the execution"
        ),
        Reason::WaitEvent { step, .. } => {
            format!("step `{step}` waits for somebody to call back with its wait token")
        }
        Reason::WaitApproval { step, approvers, count, approved, .. } => {
            let whom =
                if approvers.is_empty() { "anybody".to_owned() } else { approvers.join(", ") };
            format!("step `{step}` asks {whom}: {approved} of {count} have approved")
        }
        Reason::WaitChildren { step, total, ended, failed, since } => format!(
            "step `{step}` waits for {total} executions since {}: {ended} have ended, {failed} of them badly",
            written(*since)
        ),
        Reason::Concurrency { held_by } => format!(
            "its parent {held_by} lets no more of its children run at the same time: see `maxConcurrency`"
        ),
        Reason::WaitTimer { step, until } => {
            format!("step `{step}` waits until {}", written(*until))
        }
        Reason::Running { worker, step: Some(step), since, note } => {
            let note = note.as_ref().map(|note| format!(", and it says: {note}"));
            let since = written(*since);
            format!("worker {worker} runs step `{step}` since {since}{}", note.unwrap_or_default())
        }
        Reason::Running { worker, step: None, .. } => format!("worker {worker} is starting it"),
    }
}

/// An instant as it is written everywhere else.
fn written(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}
