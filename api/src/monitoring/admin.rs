//! `/api/admin/health`: checks with thresholds, and what an operator should be told. Its names are those of the contract,
//! with underscores.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use store::Store;
use store::figures::Figures;
use utoipa::ToSchema;

use super::memory::Memory;
use super::metrics::LastHour;
use crate::error::ApiError;
use crate::router::Shared;
use crate::state::ApiState;

/// The database should answer within the first, and is of no use beyond the second.
const SLOW_DATABASE: Duration = Duration::from_millis(100);
const DEAF_DATABASE: Duration = Duration::from_secs(2);
/// How long an execution may be due and have no worker, in seconds.
const LATE_SECONDS: f64 = 60.0;
const VERY_LATE_SECONDS: f64 = 300.0;
/// The part of the executions that should succeed, once so many were judged.
const LOW_SUCCESS: f64 = 0.95;
const VERY_LOW_SUCCESS: f64 = 0.8;
const ENOUGH_JUDGED: i64 = 20;
/// The part of the memory that the process may have.
const MUCH_MEMORY: f64 = 0.8;
const ALL_MEMORY: f64 = 0.95;

/// How something is; the worst of all is how the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Condition {
    /// As it should be.
    Healthy,
    /// It works, and somebody should look.
    Degraded,
    /// It does not work.
    Unhealthy,
}

/// How the system is, with reasons.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdminHealth {
    status: Condition,
    timestamp: DateTime<Utc>,
    version: &'static str,
    uptime_seconds: u64,
    metrics: AdminMetrics,
    checks: Vec<Check>,
    alerts: Vec<Alert>,
    /// Only of the detailed one: workers, pools, schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

/// The numbers that the checks judge.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct AdminMetrics {
    queue_depth: i64,
    oldest_pending_seconds: Option<f64>,
    workers_active: i64,
    /// None if nothing ended within the hour.
    success_rate_1h: Option<f64>,
    /// By error code.
    failure_rate_by_type: BTreeMap<String, f64>,
    execution_rate_per_minute: f64,
}

/// One thing that was looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// `database`, `worker_pool`, `queue_depth`, `success_rate` or `memory`.
    name: &'static str,
    status: Condition,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// What an operator should be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// `warning` or `critical`.
    severity: &'static str,
    /// The check that says so.
    check: &'static str,
    message: String,
}

/// How the system is: 200 if it works, 503 if it does not.
#[utoipa::path(get, path = "/api/admin/health", operation_id = "get_admin_health",
    responses((status = 200, body = AdminHealth), (status = 503, body = AdminHealth)))]
pub(crate) async fn health(State(state): Shared) -> (StatusCode, Json<AdminHealth>) {
    answer(look(&state).await)
}

/// The same, with the workers, the pools and the schema.
#[utoipa::path(get, path = "/api/admin/health/detailed", operation_id = "get_detailed_admin_health",
    responses((status = 200, body = AdminHealth), (status = 503, body = AdminHealth)))]
pub(crate) async fn detailed(
    State(state): Shared,
) -> Result<(StatusCode, Json<AdminHealth>), ApiError> {
    let mut health = look(&state).await;
    health.details = Some(details(&state).await);
    Ok(answer(health))
}

fn answer(health: AdminHealth) -> (StatusCode, Json<AdminHealth>) {
    let status = match health.status {
        Condition::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        Condition::Healthy | Condition::Degraded => StatusCode::OK,
    };
    (status, Json(health))
}

async fn look(state: &ApiState) -> AdminHealth {
    let ping = tokio::time::timeout(DEAF_DATABASE, state.store.ping());
    let (ping, figures) = tokio::join!(ping, state.monitoring.figures.get());
    let database = database(ping.ok().and_then(Result::ok));
    let mut checks = vec![database];
    let mut metrics = AdminMetrics::default();
    if let Ok(figures) = figures {
        let hour = LastHour::of(&figures);
        checks.extend([workers(&figures), queue(&figures), success(&hour)]);
        metrics = AdminMetrics {
            queue_depth: figures.due,
            oldest_pending_seconds: figures.oldest_due_seconds,
            workers_active: figures.workers,
            success_rate_1h: hour.success_rate,
            failure_rate_by_type: hour.failure_rate_by_code,
            execution_rate_per_minute: hour.per_minute,
        };
    }
    checks.push(memory(Memory::now()));
    let alerts = checks.iter().filter_map(alert).collect();
    AdminHealth {
        status: checks.iter().map(|it| it.status).max().unwrap_or(Condition::Healthy),
        timestamp: Utc::now(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.monitoring.began.elapsed().as_secs(),
        metrics,
        checks,
        alerts,
        details: None,
    }
}

fn alert(check: &Check) -> Option<Alert> {
    let severity = match check.status {
        Condition::Healthy => return None,
        Condition::Degraded => "warning",
        Condition::Unhealthy => "critical",
    };
    let message = check.message.clone().unwrap_or_default();
    Some(Alert { severity, check: check.name, message })
}

/// Which of two bounds a value is beyond.
fn beyond(value: f64, degraded: f64, unhealthy: f64) -> Condition {
    if value > unhealthy {
        Condition::Unhealthy
    } else if value > degraded {
        Condition::Degraded
    } else {
        Condition::Healthy
    }
}

fn check(name: &'static str, status: Condition, message: String) -> Check {
    Check { name, status, latency_ms: None, message: Some(message) }
}

fn database(ping: Option<Duration>) -> Check {
    match ping {
        Some(took) => {
            let status = beyond(
                took.as_secs_f64(),
                SLOW_DATABASE.as_secs_f64(),
                DEAF_DATABASE.as_secs_f64(),
            );
            let slow = || format!("the database takes {} ms to answer", took.as_millis());
            let message = (status > Condition::Healthy).then(slow);
            let latency_ms = Some(took.as_secs_f64() * 1e3);
            Check { name: "database", status, latency_ms, message }
        }
        None => {
            let message = "the database does not answer: see the process's log".to_owned();
            check("database", Condition::Unhealthy, message)
        }
    }
}

fn workers(figures: &Figures) -> Check {
    let status = match (figures.workers, figures.due) {
        (1.., _) => Condition::Healthy,
        (_, 1..) => Condition::Unhealthy,
        _ => Condition::Degraded,
    };
    check("worker_pool", status, format!("{} worker(s)", figures.workers))
}

fn queue(figures: &Figures) -> Check {
    let oldest = figures.oldest_due_seconds.unwrap_or(0.0);
    let message = format!("{} due, the longest for {oldest:.0} s", figures.due);
    check("queue_depth", beyond(oldest, LATE_SECONDS, VERY_LATE_SECONDS), message)
}

fn success(hour: &LastHour) -> Check {
    let judged = hour.succeeded + hour.failed;
    let Some(rate) = hour.success_rate.filter(|_| judged >= ENOUGH_JUDGED) else {
        let message = format!("{judged} ended within the hour: too few to judge");
        return check("success_rate", Condition::Healthy, message);
    };
    let status = beyond(1.0 - rate, 1.0 - LOW_SUCCESS, 1.0 - VERY_LOW_SUCCESS);
    let message = format!("{:.1} % of {judged} succeeded within the hour", rate * 100.0);
    check("success_rate", status, message)
}

fn memory(memory: Option<Memory>) -> Check {
    let Some(memory) = memory else {
        let message = "the system does not say".to_owned();
        return check("memory", Condition::Healthy, message);
    };
    let message = format!("{} MiB of {} MiB", memory.resident >> 20, memory.most >> 20);
    check("memory", beyond(memory.part(), MUCH_MEMORY, ALL_MEMORY), message)
}

async fn details(state: &ApiState) -> Value {
    let workers = state.store.workers().await.map_or_else(
        |_| Value::Null,
        |workers| {
            let view = workers.iter().map(|it| {
                json!({
                    "id": it.id, "host": it.host, "pid": it.pid, "build": it.build,
                    "concurrency": it.concurrency, "started_at": it.started_at, "lease_until": it.lease_until,
                })
            });
            view.collect()
        },
    );
    let schema = state.store.schema_version().await.ok().flatten();
    let pool = state.store.pool_use();
    json!({
        "workers": workers,
        "schema": { "version": schema, "latest": Store::latest_schema_version() },
        "database_pool": { "used": pool.used, "idle": pool.idle, "max": pool.most },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(workers: i64, due: i64, oldest: Option<f64>) -> Figures {
        Figures { workers, due, oldest_due_seconds: oldest, ..Figures::default() }
    }

    #[test]
    fn no_worker_is_bad_once_there_is_work() {
        for (count, due, status) in [
            (1, 1_000_000, Condition::Healthy),
            (0, 0, Condition::Degraded),
            (0, 1, Condition::Unhealthy),
        ] {
            assert_eq!(workers(&figures(count, due, None)).status, status, "{count} {due}");
        }
    }

    #[test]
    fn how_long_the_longest_waits_is_what_counts() {
        for (oldest, status) in [
            (None, Condition::Healthy),
            (Some(60.0), Condition::Healthy),
            (Some(60.1), Condition::Degraded),
            (Some(300.0), Condition::Degraded),
            (Some(300.1), Condition::Unhealthy),
        ] {
            assert_eq!(queue(&figures(1, 5, oldest)).status, status, "{oldest:?}");
        }
    }

    #[test]
    fn a_success_rate_is_judged_from_enough_executions() {
        let hour = |succeeded: i64, failed: i64| {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let success_rate = Some(succeeded as f64 / (succeeded + failed) as f64);
            LastHour { succeeded, failed, success_rate, ..LastHour::default() }
        };
        for (succeeded, failed, status) in [
            (0, 19, Condition::Healthy),
            (0, 20, Condition::Unhealthy),
            (95, 5, Condition::Healthy),
            (94, 6, Condition::Degraded),
            (80, 20, Condition::Degraded),
            (79, 21, Condition::Unhealthy),
        ] {
            assert_eq!(success(&hour(succeeded, failed)).status, status, "{succeeded} {failed}");
        }
    }

    #[test]
    fn a_database_that_does_not_answer_is_unhealthy_and_an_alert() {
        let check = database(None);
        assert_eq!(
            (check.status, alert(&check).unwrap().severity),
            (Condition::Unhealthy, "critical")
        );
        assert_eq!(database(Some(SLOW_DATABASE)).status, Condition::Healthy);
        let slow = database(Some(SLOW_DATABASE + Duration::from_millis(1)));
        assert_eq!((slow.status, alert(&slow).unwrap().severity), (Condition::Degraded, "warning"));
    }

    #[test]
    fn memory_is_judged_by_its_part() {
        let of = |resident| memory(Some(Memory { resident, most: 100 << 20 })).status;
        assert_eq!(
            [of(80 << 20), of(81 << 20), of(96 << 20)],
            [Condition::Healthy, Condition::Degraded, Condition::Unhealthy]
        );
    }
}
