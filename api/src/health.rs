//! `/api/health`, `/api/workers` and `/api/metrics/prometheus`: whether it works, and how much it does.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use serde::Serialize;
use serde_json::{Value, json};
use store::Store;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::router::Shared;
use crate::state::ApiState;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    version: &'static str,
    /// `up` or `down`.
    database: &'static str,
    workers: usize,
    queue_depth: i64,
}

/// How the server is, for people: always 200.
#[utoipa::path(get, path = "/api/health", responses((status = 200, body = Health)))]
pub(crate) async fn health(State(state): Shared) -> Json<Health> {
    let (workers, queue) = (state.store.workers().await, state.store.queue_depth().await);
    let up = workers.is_ok() && queue.is_ok();
    Json(Health {
        status: if up { "healthy" } else { "unhealthy" },
        version: env!("CARGO_PKG_VERSION"),
        database: if up { "up" } else { "down" },
        workers: workers.map_or(0, |workers| workers.len()),
        queue_depth: queue.map_or(0, |(depth, _)| depth),
    })
}

/// The process answers: restart it if this fails.
#[utoipa::path(get, path = "/api/health/live", responses((status = 200)))]
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// The database answers and has this build's schema: send requests only then.
#[utoipa::path(get, path = "/api/health/ready", responses((status = 200), (status = 503)))]
pub(crate) async fn ready(State(state): Shared) -> Result<Json<Value>, ApiError> {
    let unready =
        |detail: String| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", detail);
    match state.store.schema_version().await {
        Ok(Some(version)) if version >= Store::latest_schema_version() => {
            Ok(Json(json!({ "status": "ready" })))
        }
        Ok(_) => {
            Err(unready("the schema is older than this build: run `stateflow migrate`".to_owned()))
        }
        Err(error) => Err(unready(error.to_string())),
    }
}

/// Metrics in the Prometheus text format.
#[utoipa::path(get, path = "/api/metrics/prometheus", responses((status = 200, body = String)))]
pub(crate) async fn prometheus(State(state): Shared) -> Result<impl IntoResponse, ApiError> {
    let text = prometheus::TextEncoder::new().encode_to_string(&state.registry.gather()).map_err(
        |error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", error.to_string()),
    )?;
    let queue = queue_metrics(&state).await;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], format!("{text}{queue}")))
}

/// The queue is the database's, not the process's: it is read when asked for. Nothing when it is away.
async fn queue_metrics(state: &ApiState) -> String {
    let Ok((depth, oldest)) = state.store.queue_depth().await else { return String::new() };
    let age = oldest.map_or(0.0, |oldest| (chrono::Utc::now() - oldest).as_seconds_f64().max(0.0));
    format!(
        "# HELP stateflow_queue_depth executions that are due and have no worker\n\
         # TYPE stateflow_queue_depth gauge\nstateflow_queue_depth {depth}\n\
         # HELP stateflow_queue_oldest_seconds how long the longest of them has been due\n\
         # TYPE stateflow_queue_oldest_seconds gauge\nstateflow_queue_oldest_seconds {age}\n"
    )
}

/// The workers that are registered.
#[utoipa::path(get, path = "/api/workers", responses((status = 200, body = Object)))]
pub(crate) async fn workers(State(state): Shared) -> Result<Json<Value>, ApiError> {
    let workers = state.store.workers().await?;
    let items: Vec<_> = workers
        .into_iter()
        .map(|it| {
            json!({
                "id": it.id, "host": it.host, "pid": it.pid, "build": it.build,
                "concurrency": it.concurrency, "startedAt": it.started_at, "leaseUntil": it.lease_until,
            })
        })
        .collect();
    Ok(Json(json!({ "items": items, "nextCursor": null })))
}
