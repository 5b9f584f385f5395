//! `/api/health`, `/live` and `/ready`, and who the workers are.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use store::Store;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Monitoring;
use crate::error::{ApiError, Problem};
use crate::router::Shared;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Health {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    version: &'static str,
    /// `up` or `down`.
    database: &'static str,
    workers: i64,
    queue_depth: i64,
}

/// How the server is, for people: always 200.
#[utoipa::path(get, path = "/api/health", operation_id = "get_health", responses((status = 200, body = Health)))]
pub(crate) async fn health(State(state): State<Monitoring>) -> Json<Health> {
    // Figures may be a little old; whether the database answers must not be.
    let (ping, figures) = tokio::join!(state.store.ping(), state.figures.get());
    let up = ping.is_ok() && figures.is_ok();
    Json(Health {
        status: if up { "healthy" } else { "unhealthy" },
        version: env!("CARGO_PKG_VERSION"),
        database: if up { "up" } else { "down" },
        workers: figures.as_ref().map_or(0, |it| it.workers),
        queue_depth: figures.map_or(0, |it| it.due),
    })
}

/// The process answers. Nothing else is looked at: a process that cannot reach the database is not mended by starting it
/// again.
#[utoipa::path(get, path = "/api/health/live", operation_id = "get_liveness", responses((status = 200, body = Object)))]
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// The database answers and has this build's schema: send requests only then.
#[utoipa::path(get, path = "/api/health/ready", operation_id = "get_readiness",
    responses((status = 200, body = Object), (status = 503, body = Problem)))]
pub(crate) async fn ready(State(state): State<Monitoring>) -> Result<Json<Value>, ApiError> {
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

/// A worker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerView {
    id: Uuid,
    host: String,
    pid: i32,
    build: String,
    /// Executions that it drives at once.
    concurrency: i32,
    started_at: DateTime<Utc>,
    /// Until when its leases hold without a heartbeat.
    lease_until: DateTime<Utc>,
}

/// The workers that are registered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkerPage {
    items: Vec<WorkerView>,
    next_cursor: Option<String>,
}

/// The workers that are registered, oldest first.
#[utoipa::path(get, path = "/api/workers", operation_id = "list_workers", responses((status = 200, body = WorkerPage)))]
pub(crate) async fn workers(State(state): Shared) -> Result<Json<WorkerPage>, ApiError> {
    let workers = state.store.workers().await?;
    let items = workers.into_iter().map(|it| WorkerView {
        id: it.id,
        host: it.host,
        pid: it.pid,
        build: it.build,
        concurrency: it.concurrency,
        started_at: it.started_at,
        lease_until: it.lease_until,
    });
    Ok(Json(WorkerPage { items: items.collect(), next_cursor: None }))
}
