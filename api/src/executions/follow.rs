//! Streams of server-sent events about one execution, until it ends. A client that comes back says with `Last-Event-ID` what it
//! had last. How many streams there are is bounded; each looks for news a few times a second and holds one small page.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use serde_json::json;
use store::executions::Progress;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::read::AttemptView;
use crate::error::{ApiError, Problem};
use crate::extract::execution_id;
use crate::router::Shared;
use crate::state::ApiState;

/// What one look brings at most.
pub(super) const PAGE: u16 = 100;
/// How often a stream looks for news: at first, and when there has been none for a while.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const LOOK_SELDOM: Duration = Duration::from_secs(1);
/// So many looks without news are a while.
const IMPATIENCE: u32 = 20;

/// What a stream is about.
pub(super) trait News: Send + 'static {
    /// What is new since the last look, up to [`PAGE`]. None when the store fails: the stream ends, and the client comes
    /// back.
    fn look<'a>(
        &'a mut self,
        state: &'a ApiState,
        id: Uuid,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Option<Vec<Event>>>;

    /// The last event, when the execution has ended and all else was told.
    fn last(&self, progress: &Progress) -> Option<Event>;
}

/// A stream of it.
pub(super) fn stream<N: News>(
    state: &ApiState,
    execution: Uuid,
    news: N,
) -> Result<Response, ApiError> {
    let place = state.stream_place().ok_or_else(|| {
        let detail = "so many streams are open that there is no room for another; try again after `Retry-After`";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_STREAMS", detail)
    })?;
    let follower = Follower {
        state: state.clone(),
        execution,
        news,
        ready: VecDeque::new(),
        ended: false,
        idle: 0,
        _place: place,
    };
    let events = futures::stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

struct Follower<N> {
    state: ApiState,
    execution: Uuid,
    news: N,
    ready: VecDeque<Event>,
    ended: bool,
    /// Looks without news.
    idle: u32,
    _place: OwnedSemaphorePermit,
}

impl<N: News> Follower<N> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            self.look().await?;
        }
    }

    /// The end is looked at first: what an attempt left is durable with it, so nothing can come after.
    async fn look(&mut self) -> Option<()> {
        let namespace = self.state.namespace();
        let progress = self.state.store.progress(namespace, self.execution).await.ok()?;
        let news = self.news.look(&self.state, self.execution, &progress).await?;
        let full = news.len() >= usize::from(PAGE);
        self.idle = if news.is_empty() { self.idle.saturating_add(1) } else { 0 };
        self.ready.extend(news);
        if progress.ended && !full {
            self.ended = true;
            self.ready.extend(self.news.last(&progress));
        } else if self.idle > 0 {
            let often = self.idle < IMPATIENCE;
            tokio::time::sleep(if often { LOOK_EVERY } else { LOOK_SELDOM }).await;
        }
        Some(())
    }
}

/// What a client says that it had last; a cursor in the query counts if it says nothing.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id")?.to_str().ok().filter(|id| !id.is_empty())
}

/// The history of an execution, as it grows.
struct Attempts {
    after: i32,
    status: Option<String>,
}

impl News for Attempts {
    fn look<'a>(
        &'a mut self,
        state: &'a ApiState,
        id: Uuid,
        progress: &'a Progress,
    ) -> BoxFuture<'a, Option<Vec<Event>>> {
        Box::pin(async move {
            let mut events = Vec::new();
            if progress.records > self.after {
                let page = i64::from(PAGE) - 1;
                for attempt in state.store.attempts(id, self.after, page).await.ok()? {
                    self.after = attempt.sequence;
                    let event = Event::default().event("attempt").id(attempt.sequence.to_string());
                    events.push(event.json_data(AttemptView::from(attempt)).ok()?);
                }
            }
            if !progress.ended && self.status.as_ref() != Some(&progress.status) {
                let event = Event::default().event("status");
                events.push(event.json_data(json!({ "status": progress.status })).ok()?);
                self.status = Some(progress.status.clone());
            }
            Some(events)
        })
    }

    fn last(&self, progress: &Progress) -> Option<Event> {
        let data = json!({ "status": progress.status });
        Event::default().event("end").json_data(data).ok()
    }
}

/// Streams an execution's events: `attempt` for each attempt that ended, `status` when its status has changed, and `end`. A client
/// that comes back with `Last-Event-ID` gets the attempts after that one.
#[utoipa::path(get, path = "/api/executions/{id}/events", operation_id = "stream_execution_events",
    params(("id" = Uuid, Path), ("Last-Event-ID" = Option<String>, Header)), responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 404, body = Problem),
))]
pub(crate) async fn events(
    State(state): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = execution_id(&id)?;
    state.store.progress(state.namespace(), id).await?;
    let after = last_event_id(&headers).map_or(Ok(0), |text| {
        let unknown = |_| ApiError::bad_request("`Last-Event-ID` is not one of this stream");
        text.parse().map_err(unknown)
    })?;
    stream(&state, id, Attempts { after, status: None })
}
