//! What the store counts of itself: the journal's batches, and the connections.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramOpts, IntGauge, IntGaugeVec, Opts, Registry};

use crate::Store;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct StoreMetrics {
    /// Transitions of one batch of the journal.
    pub(crate) batch: Histogram,
    /// How long a batch takes to become durable, in seconds, the wait for a database that is away included.
    pub(crate) commit: Histogram,
}

impl StoreMetrics {
    pub(crate) fn new() -> Self {
        let histogram = |name: &str, help: &str, start: f64, factor: f64, count: usize| {
            let buckets = prometheus::exponential_buckets(start, factor, count)
                .expect("the buckets grow from above nothing");
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
                .expect("the name is one")
        };
        Self {
            batch: histogram(
                "stateflow_journal_batch_transitions",
                "transitions that one commit of the journal made durable",
                1.0,
                2.0,
                11,
            ),
            commit: histogram(
                "stateflow_journal_commit_seconds",
                "how long the journal's batches took to become durable",
                0.0005,
                2.0,
                14,
            ),
        }
    }
}

impl Store {
    /// Registers what the store counts. Fails if the registry has it already.
    pub fn register_metrics(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.metrics.batch.clone()))?;
        registry.register(Box::new(self.metrics.commit.clone()))?;
        registry.register(Box::new(PoolGauges::of(self.clone())?))
    }
}

/// Connections of a process to the database.
#[derive(Clone, Copy, Debug)]
pub struct PoolUse {
    /// In use.
    pub used: u32,
    /// Open and idle.
    pub idle: u32,
    /// The most that there may be.
    pub most: u32,
}

impl Store {
    /// The connections as they are. The numbers are not read at one instant.
    pub fn pool_use(&self) -> PoolUse {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        let used = self.pool.size().saturating_sub(idle);
        PoolUse { used, idle, most: self.pool.options().get_max_connections() }
    }
}

/// The pool's connections, as they are when somebody asks.
struct PoolGauges {
    store: Store,
    connections: IntGaugeVec,
    most: IntGauge,
}

impl PoolGauges {
    fn of(store: Store) -> Result<Self, prometheus::Error> {
        let connections = IntGaugeVec::new(
            Opts::new(
                "stateflow_database_pool_connections",
                "connections of this process to the database, by whether they are in use",
            ),
            &["state"],
        )?;
        let most = IntGauge::new(
            "stateflow_database_pool_max_connections",
            "the most connections of this process to the database",
        )?;
        most.set(i64::from(store.pool_use().most));
        Ok(Self { store, connections, most })
    }
}

impl Collector for PoolGauges {
    fn desc(&self) -> Vec<&Desc> {
        [self.connections.desc(), self.most.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let PoolUse { used, idle, .. } = self.store.pool_use();
        self.connections.with_label_values(&["idle"]).set(idle.into());
        self.connections.with_label_values(&["used"]).set(used.into());
        [self.connections.collect(), self.most.collect()].concat()
    }
}
