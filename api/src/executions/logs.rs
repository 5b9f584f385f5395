//! An execution's log: a page, or with `?follow` a stream of server-sent events until it ends.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Json, Response};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use store::executions::{Log, Progress};
use utoipa::IntoParams;
use uuid::Uuid;

use super::follow::{self, News};
use crate::error::{ApiError, Problem};
use crate::extract::{QueryOf, execution_id};
use crate::router::Shared;
use crate::state::ApiState;

/// Lines of one page.
const PAGE: u16 = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Stream lines as they come, until the execution ends.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = bool)]
    follow: bool,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// `?follow`, `?follow=true`.
fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(matches!(text.as_str(), "" | "true" | "1"))
}

/// An execution's log lines, oldest first; or a stream of them, `log` events and an `end`, which goes on after `Last-Event-ID`.
#[utoipa::path(get, path = "/api/executions/{id}/logs",
    params(("id" = Uuid, Path), LogQuery, ("Last-Event-ID" = Option<String>, Header)), responses(
        (status = 200, content((Object = "application/json"), (String = "text/event-stream"))),
        (status = 404, body = Problem),
))]
pub(crate) async fn logs(
    State(state): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    QueryOf(query): QueryOf<LogQuery>,
) -> Result<Response, ApiError> {
    let id = execution_id(&id)?;
    state.store.progress(state.namespace(), id).await?;
    let had = follow::last_event_id(&headers).filter(|_| query.follow);
    let after = had.or(query.cursor.as_deref()).map_or(Ok((0, 0)), parse_cursor)?;
    if query.follow {
        return follow::stream(&state, id, Lines { after });
    }
    let lines = state.store.logs(id, after, i64::from(PAGE)).await?;
    let full = lines.len() == usize::from(PAGE);
    let next = lines.last().filter(|_| full).map(cursor);
    let items: Vec<_> = lines.iter().map(view).collect();
    Ok(Json(json!({ "items": items, "nextCursor": next })).into_response())
}

fn parse_cursor(text: &str) -> Result<(i32, i32), ApiError> {
    let numbers = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.ok_or_else(|| ApiError::bad_request("`cursor` is not one that this call gave"))
}

/// The log of an execution, as it grows.
struct Lines {
    after: (i32, i32),
}

impl News for Lines {
    fn look<'a>(
        &'a mut self,
        state: &'a ApiState,
        id: Uuid,
        _: &'a Progress,
    ) -> BoxFuture<'a, Option<Vec<Event>>> {
        Box::pin(async move {
            let lines = state.store.logs(id, self.after, i64::from(follow::PAGE)).await.ok()?;
            if let Some(last) = lines.last() {
                self.after = (last.sequence, last.line);
            }
            let event = |line: &Log| {
                let event = Event::default().event("log").id(cursor(line));
                event.json_data(view(line)).ok()
            };
            lines.iter().map(event).collect()
        })
    }

    fn last(&self, progress: &Progress) -> Option<Event> {
        let data = json!({ "status": progress.status });
        Event::default().event("end").json_data(data).ok()
    }
}

/// Where a line is: the cursor of what comes after it, and its id in a stream.
fn cursor(line: &Log) -> String {
    format!("{}.{}", line.sequence, line.line)
}

fn view(line: &Log) -> Value {
    json!({
        "step": line.step_id, "attempt": line.attempt, "level": line.level, "message": line.message,
        "fields": line.fields, "loggedAt": line.logged_at,
    })
}
