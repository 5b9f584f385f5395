//! What every process says of itself, whether it serves the API or only works: alive, ready, metrics, health.

pub(crate) mod admin;
pub(crate) mod memory;
pub(crate) mod metrics;
pub(crate) mod probes;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use prometheus::Registry;
use store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connections;
use crate::figures::FiguresCache;
use crate::state::ApiState;

/// See the module. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Monitoring(Arc<Inner>);

/// What stands behind a [`Monitoring`].
#[derive(Debug)]
pub struct Inner {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) figures: FiguresCache,
    pub(crate) began: Instant,
}

impl std::ops::Deref for Monitoring {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Monitoring {
    /// Of the process that uses this store and counts in this registry.
    pub fn new(store: Store, registry: Registry) -> Self {
        let figures = FiguresCache::new(store.clone());
        Self(Arc::new(Inner { store, registry, figures, began: Instant::now() }))
    }

    /// Serves it alone, without the API, until `stop`: for the probes and the scraper of a process that only works.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> std::io::Result<()> {
        let router = Router::new()
            .route("/api/health", get(probes::health))
            .route("/api/health/live", get(probes::live))
            .route("/api/health/ready", get(probes::ready))
            .route("/api/metrics/prometheus", get(metrics::prometheus))
            .with_state(self);
        connections::serve_few(listener, router, stop).await
    }
}

impl FromRef<ApiState> for Monitoring {
    fn from_ref(state: &ApiState) -> Self {
        state.monitoring.clone()
    }
}
