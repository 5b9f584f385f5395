//! What a worker counts.

mod plugins;
mod requests;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

pub(crate) use plugins::PluginMetrics;

/// The worker's metrics.
#[derive(Clone, Debug)]
pub struct WorkerMetrics {
    pub(crate) finished: IntCounterVec,
    pub(crate) attempts: IntCounterVec,
    pub(crate) attempt_seconds: HistogramVec,
    pub(crate) retried: IntCounterVec,
    pub(crate) plugins: PluginMetrics,
    pub(crate) claimed: IntCounter,
    pub(crate) driving: IntGauge,
    pub(crate) refused: IntCounter,
    pub(crate) expired: IntCounter,
    pub(crate) deleted: IntCounterVec,
}

impl WorkerMetrics {
    /// Makes the metrics and registers them. Fails if the registry has them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let metrics = Self {
            finished: counter(
                "stateflow_executions_finished_total",
                "executions that ended",
                &["status"],
            )?,
            attempts: counter(
                "stateflow_attempts_finished_total",
                "attempts that ended, by step type and error code (empty: success)",
                &["step_type", "code"],
            )?,
            attempt_seconds: HistogramVec::new(
                HistogramOpts::new("stateflow_attempt_duration_seconds", "wall clock of attempts")
                    .buckets(prometheus::exponential_buckets(0.0005, 4.0, 10)?),
                &["step_type"],
            )?,
            retried: counter(
                "stateflow_attempts_retried_total",
                "attempts that were not the first at their step",
                &["step_type"],
            )?,
            plugins: PluginMetrics::register(registry)?,
            claimed: IntCounter::new("stateflow_executions_claimed_total", "leases taken")?,
            driving: IntGauge::new("stateflow_executions_driven", "executions under lease here")?,
            refused: IntCounter::new(
                "stateflow_transitions_refused_total",
                "transitions that came after their lease was gone",
            )?,
            expired: IntCounter::new(
                "stateflow_leases_expired_total",
                "leases of lost workers expired here",
            )?,
            deleted: counter(
                "stateflow_retention_deleted_total",
                "what was past its time and was deleted here: weeks, rows, leftovers, blobs",
                &["what"],
            )?,
        };
        registry.register(Box::new(metrics.finished.clone()))?;
        registry.register(Box::new(metrics.attempts.clone()))?;
        registry.register(Box::new(metrics.attempt_seconds.clone()))?;
        registry.register(Box::new(metrics.retried.clone()))?;
        registry.register(Box::new(metrics.claimed.clone()))?;
        registry.register(Box::new(metrics.driving.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.expired.clone()))?;
        registry.register(Box::new(metrics.deleted.clone()))?;
        Ok(metrics)
    }
}
