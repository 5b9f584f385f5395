//! An execution's log: a page, or with `?follow` a stream of server-sent events until it ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use futures::Stream;
use serde::Deserialize;
use serde_json::{Value, json};
use store::executions::Log;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::{QueryOf, execution_id};
use crate::router::Shared;
use crate::state::ApiState;

/// Lines of one page.
const PAGE: u16 = 1_000;
/// How often a follower looks for more.
const LOOK_EVERY: Duration = Duration::from_millis(250);

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

/// An execution's log lines, oldest first.
#[utoipa::path(get, path = "/api/executions/{id}/logs", params(("id" = Uuid, Path), LogQuery), responses(
    (status = 200, body = Object), (status = 404, body = Problem),
))]
pub(crate) async fn logs(
    State(state): Shared,
    Path(id): Path<String>,
    QueryOf(query): QueryOf<LogQuery>,
) -> Result<Response, ApiError> {
    let execution = state.store.execution(state.namespace(), execution_id(&id)?).await?;
    let after = query.cursor.as_deref().map_or(Ok((0, 0)), parse_cursor)?;
    if query.follow {
        let stream = follow(state, execution.id, after);
        return Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response());
    }
    let lines = state.store.logs(execution.id, after, i64::from(PAGE)).await?;
    let full = lines.len() == usize::from(PAGE);
    let next = lines.last().filter(|_| full).map(|line| format!("{}.{}", line.sequence, line.line));
    let items: Vec<_> = lines.iter().map(view).collect();
    Ok(Json(json!({ "items": items, "nextCursor": next })).into_response())
}

fn parse_cursor(text: &str) -> Result<(i32, i32), ApiError> {
    let numbers = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    numbers.ok_or_else(|| ApiError::bad_request("`cursor` is not one that this call gave"))
}

/// Where a follower is.
struct Follower {
    state: ApiState,
    id: Uuid,
    after: (i32, i32),
    ready: std::collections::VecDeque<Log>,
    ended: bool,
}

fn follow(
    state: ApiState,
    id: Uuid,
    after: (i32, i32),
) -> impl Stream<Item = Result<Event, Infallible>> {
    let follower =
        Follower { state, id, after, ready: std::collections::VecDeque::new(), ended: false };
    futures::stream::unfold(follower, async |mut follower| {
        loop {
            if let Some(line) = follower.ready.pop_front() {
                let id = format!("{}.{}", line.sequence, line.line);
                let event = Event::default().event("log").id(id).data(view(&line).to_string());
                return Some((Ok(event), follower));
            }
            if follower.ended {
                return None;
            }
            follower.look().await?;
        }
    })
}

impl Follower {
    /// Fetches what is new. The end is looked at first: lines are durable with the attempt that wrote them, so
    /// none can come after it. `None` when the store fails: the stream ends, and a client comes back.
    async fn look(&mut self) -> Option<()> {
        let execution = self.state.store.execution(self.state.namespace(), self.id).await.ok()?;
        let lines = self.state.store.logs(self.id, self.after, i64::from(PAGE)).await.ok()?;
        if let Some(last) = lines.last() {
            self.after = (last.sequence, last.line);
        }
        self.ended = execution.finished_at.is_some() && lines.len() < usize::from(PAGE);
        let nothing_new = lines.is_empty();
        self.ready.extend(lines);
        if nothing_new && !self.ended {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Some(())
    }
}

fn view(line: &Log) -> Value {
    json!({
        "step": line.step_id, "attempt": line.attempt, "level": line.level, "message": line.message,
        "fields": line.fields, "loggedAt": line.logged_at,
    })
}
