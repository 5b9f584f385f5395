//! What a worker counts of plugin calls. The label is the plugin's name: bounded by what somebody has uploaded, and not
//! by what a guest says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::failure::ErrorCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use sandbox::{PluginReport, Pool};

use super::requests::RequestMetrics;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct PluginMetrics {
    calls: IntCounterVec,
    wall: HistogramVec,
    busy: HistogramVec,
    fuel: HistogramVec,
    memory: HistogramVec,
    requests: Arc<RequestMetrics>,
    dropped: IntCounterVec,
    loads: IntCounterVec,
    running: IntGaugeVec,
    host_calls: IntCounterVec,
    pool: IntGaugeVec,
}

impl PluginMetrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        let histogram = |name: &str, help: &str, start: f64, factor: f64| {
            let buckets = prometheus::exponential_buckets(start, factor, 10)?;
            let made =
                HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["plugin"])?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        let gauge = |name: &str, help: &str, label: &str| {
            let made = IntGaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        Ok(Self {
            calls: counter(
                "stateflow_plugin_calls_total",
                "calls of plugins that ended, by error code (empty: success)",
                &["plugin", "code"],
            )?,
            wall: histogram(
                "stateflow_plugin_call_duration_seconds",
                "wall clock of calls, the wait for a slot included",
                0.0001,
                4.0,
            )?,
            busy: histogram(
                "stateflow_plugin_busy_seconds",
                "time of calls on a processor",
                0.0001,
                4.0,
            )?,
            fuel: histogram("stateflow_plugin_fuel_units", "fuel of calls", 1_000.0, 8.0)?,
            memory: histogram(
                "stateflow_plugin_peak_memory_bytes",
                "the most linear memory that calls held",
                65_536.0,
                4.0,
            )?,
            requests: Arc::new(RequestMetrics::register(registry)?),
            dropped: counter(
                "stateflow_plugin_log_lines_dropped_total",
                "log lines of plugins over their limits",
                &["plugin"],
            )?,
            loads: counter(
                "stateflow_plugin_loads_total",
                "plugins made ready on first use, by where from: disk, or the compiler",
                &["plugin", "from"],
            )?,
            running: gauge(
                "stateflow_plugin_calls_running",
                "calls of plugins under way",
                "plugin",
            )?,
            host_calls: counter(
                "stateflow_plugin_host_calls_total",
                "calls that plugins made of the host's interfaces",
                &["plugin", "import"],
            )?,
            pool: gauge(
                "stateflow_plugin_pool",
                "what is in use of the pool that instances come from, and bytes kept warm in it",
                "of",
            )?,
        })
    }

    /// A call begins; it is under way until this is dropped.
    pub(crate) fn begin(&self, plugin: &str) -> Running {
        self.running.with_label_values(&[plugin]).inc();
        Running {
            metrics: self.clone(),
            plugin: plugin.to_owned(),
            began: Instant::now(),
            told: false,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a histogram's buckets are coarser")]
    fn ended(&self, plugin: &str, wall: Duration, report: &PluginReport) {
        let code = report.report.outcome.failure().map_or("", |failure| failure.code.as_str());
        self.calls.with_label_values(&[plugin, code]).inc();
        self.wall.with_label_values(&[plugin]).observe(wall.as_secs_f64());
        self.busy.with_label_values(&[plugin]).observe(report.busy.as_secs_f64());
        self.fuel.with_label_values(&[plugin]).observe(report.fuel_used as f64);
        self.memory.with_label_values(&[plugin]).observe(report.peak_memory_bytes as f64);
        self.requests.count(plugin, &report.requests);
        self.dropped.with_label_values(&[plugin]).inc_by(report.dropped_lines);
        for (import, calls) in report.host_calls.iter() {
            self.host_calls.with_label_values(&[plugin, import]).inc_by(calls);
        }
    }

    /// How the pool is after a call.
    pub(crate) fn pooled(&self, pool: Pool) {
        let set = |of: &str, value: i64| self.pool.with_label_values(&[of]).set(value);
        let counted = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        set("instances", i64::try_from(pool.instances).unwrap_or(i64::MAX));
        set("memories", counted(pool.memories));
        set("warm_bytes", counted(pool.warm_bytes));
    }

    /// A plugin was made ready.
    pub(crate) fn loaded(&self, plugin: &str, from_disk: bool) {
        let from = if from_disk { "disk" } else { "compiler" };
        self.loads.with_label_values(&[plugin, from]).inc();
    }
}

/// A call that is under way. One that is dropped before it has a report was cancelled: nobody waited for what the
/// sandbox would have said.
pub(crate) struct Running {
    metrics: PluginMetrics,
    plugin: String,
    began: Instant,
    told: bool,
}

impl Running {
    /// It has ended, and this came of it.
    pub(crate) fn end(mut self, report: &PluginReport) {
        self.told = true;
        self.metrics.ended(&self.plugin, self.began.elapsed(), report);
    }

    /// It did not end in its time, nor in the time that the sandbox has to stop it.
    pub(crate) fn overdue(mut self) {
        self.told = true;
        self.count(ErrorCode::Timeout);
    }

    fn count(&self, code: ErrorCode) {
        self.metrics.calls.with_label_values(&[self.plugin.as_str(), code.as_str()]).inc();
        let wall = self.metrics.wall.with_label_values(&[self.plugin.as_str()]);
        wall.observe(self.began.elapsed().as_secs_f64());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.metrics.running.with_label_values(&[self.plugin.as_str()]).dec();
        if !self.told {
            self.count(ErrorCode::Cancelled);
        }
    }
}
