//! `/api/metrics`: for Prometheus, as JSON, and of the dead letters.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use chrono::{DateTime, Utc};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use serde::Serialize;
use serde_json::{Value, json};
use store::figures::Figures;
use utoipa::ToSchema;

use super::Monitoring;
use crate::error::ApiError;
use crate::router::Shared;

/// Metrics in the Prometheus text format: those of this process, and those of the whole system that the database knows.
#[utoipa::path(get, path = "/api/metrics/prometheus", operation_id = "get_prometheus_metrics",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn prometheus(
    State(state): State<Monitoring>,
) -> Result<impl IntoResponse, ApiError> {
    let mut families = state.registry.gather();
    // Nothing of the system when the database is away: the process's own are what somebody needs then.
    if let Ok(figures) = state.figures.get().await {
        families.extend(of_system(&figures).map_err(internal)?);
    }
    let text = prometheus::TextEncoder::new().encode_to_string(&families).map_err(internal)?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn internal(error: prometheus::Error) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", error.to_string())
}

/// The figures as metrics. They are the system's: every process says the same.
fn of_system(figures: &Figures) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, value: i64| {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    gauge("stateflow_queue_depth", "executions that are due and have no worker", figures.due)?;
    gauge("stateflow_workers_active", "workers whose lease holds", figures.workers)?;
    gauge(
        "stateflow_dead_letters",
        "failed executions that wait for somebody to look at them, up to 100,000",
        figures.dead_letters,
    )?;
    let oldest = prometheus::Gauge::new(
        "stateflow_queue_oldest_seconds",
        "how long the longest of them has been due",
    )?;
    oldest.set(figures.oldest_due_seconds.unwrap_or(0.0));
    registry.register(Box::new(oldest))?;
    let live = IntGaugeVec::new(
        Opts::new(
            "stateflow_executions_live",
            "executions that have not ended: due, under lease, or waiting for a time or a message",
        ),
        &["status"],
    )?;
    for (status, count) in
        [("pending", figures.due), ("running", figures.leased), ("waiting", figures.later)]
    {
        live.with_label_values(&[status]).set(count);
    }
    registry.register(Box::new(live))?;
    Ok(registry.gather())
}

/// The system and this process in numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricsView {
    timestamp: DateTime<Utc>,
    version: &'static str,
    uptime_seconds: u64,
    queue: QueueView,
    /// Workers whose lease holds.
    workers: i64,
    /// Dead letters, up to 100,000.
    dead_letters: i64,
    last_hour: LastHour,
    /// The process's own metrics, as Prometheus gets them.
    #[schema(value_type = Vec<Object>)]
    families: Vec<Value>,
}

/// Executions that have not ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueView {
    /// Due, and without a worker.
    due: i64,
    /// Under lease.
    leased: i64,
    /// Due later, or when they are told something.
    later: i64,
    /// How long the longest has been due.
    oldest_due_seconds: Option<f64>,
}

/// What ended within the last hour.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastHour {
    pub(crate) succeeded: i64,
    pub(crate) failed: i64,
    pub(crate) cancelled: i64,
    /// The part of those that succeeded or failed that succeeded; none if there were none.
    pub(crate) success_rate: Option<f64>,
    /// The part of them that failed, by error code.
    pub(crate) failure_rate_by_code: BTreeMap<String, f64>,
    /// Over the last five whole minutes.
    pub(crate) per_minute: f64,
}

impl LastHour {
    #[expect(clippy::cast_precision_loss, reason = "rates need no more than 52 bits")]
    pub(crate) fn of(figures: &Figures) -> Self {
        let with = |status: &str| -> i64 {
            let alike = figures.finished.iter().filter(|it| it.status == status);
            alike.map(|it| it.hour).sum()
        };
        let (succeeded, failed) = (with("succeeded"), with("failed"));
        let judged = (succeeded + failed) as f64;
        let by_code = figures.finished.iter().filter(|it| it.status == "failed");
        let recent: i64 = figures.finished.iter().map(|it| it.five_minutes).sum();
        Self {
            succeeded,
            failed,
            cancelled: with("cancelled"),
            success_rate: (judged > 0.0).then(|| succeeded as f64 / judged),
            failure_rate_by_code: by_code
                .map(|it| (it.code.clone(), it.hour as f64 / judged))
                .collect(),
            per_minute: recent as f64 / 5.0,
        }
    }
}

/// The system and this process in numbers, as JSON.
#[utoipa::path(get, path = "/api/metrics", operation_id = "get_metrics", responses((status = 200, body = MetricsView)))]
pub(crate) async fn json(State(state): State<Monitoring>) -> Result<Json<MetricsView>, ApiError> {
    let figures = state.figures.get().await?;
    Ok(Json(MetricsView {
        timestamp: Utc::now(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: state.began.elapsed().as_secs(),
        queue: QueueView {
            due: figures.due,
            leased: figures.leased,
            later: figures.later,
            oldest_due_seconds: figures.oldest_due_seconds,
        },
        workers: figures.workers,
        dead_letters: figures.dead_letters,
        last_hour: LastHour::of(&figures),
        families: state.registry.gather().iter().map(family).collect(),
    }))
}

fn family(it: &MetricFamily) -> Value {
    let kind = it.get_field_type();
    let series: Vec<_> = it.get_metric().iter().map(|metric| series(kind, metric)).collect();
    let kind = match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    };
    json!({ "name": it.name(), "help": it.help(), "type": kind, "series": series })
}

fn series(kind: MetricType, metric: &Metric) -> Value {
    let labels: BTreeMap<_, _> =
        metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
    match kind {
        MetricType::COUNTER => {
            json!({ "labels": labels, "value": metric.get_counter().get_value() })
        }
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            let buckets: Vec<_> = histogram
                .get_bucket()
                .iter()
                .map(|it| json!({ "le": it.upper_bound(), "count": it.cumulative_count() }))
                .collect();
            json!({
                "labels": labels, "count": histogram.get_sample_count(), "sum": histogram.get_sample_sum(),
                "buckets": buckets,
            })
        }
        _ => json!({ "labels": labels, "value": metric.get_gauge().get_value() }),
    }
}

/// The dead letters in numbers.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetterMetrics {
    /// How many there are, up to 100,000.
    total: i64,
    /// The newest 10,000 of them, by workflow and error code, the most frequent first.
    kinds: Vec<DeadLetterKind>,
}

/// Dead letters of a kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetterKind {
    workflow: String,
    code: String,
    executions: i64,
    /// When the first and the last of them were started.
    oldest: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
}

/// The dead letters in numbers.
#[utoipa::path(get, path = "/api/metrics/dlq", operation_id = "get_dead_letter_metrics",
    responses((status = 200, body = DeadLetterMetrics)))]
pub(crate) async fn dead_letters(
    State(state): Shared,
) -> Result<Json<DeadLetterMetrics>, ApiError> {
    let (figures, kinds) = tokio::try_join!(
        state.monitoring.figures.get(),
        state.store.dead_letter_kinds(state.namespace())
    )?;
    let created = crate::executions::read::created_at;
    let kinds = kinds.into_iter().map(|it| DeadLetterKind {
        workflow: it.workflow,
        code: it.code,
        executions: it.executions,
        oldest: created(it.first),
        newest: created(it.last),
    });
    Ok(Json(DeadLetterMetrics { total: figures.dead_letters, kinds: kinds.collect() }))
}
