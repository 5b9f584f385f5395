//! The way to the collector, with what came of it counted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prometheus::IntCounterVec;

/// An exporter whose successes and failures are counted, and whose first failure is logged.
#[derive(Debug)]
pub(crate) struct Counted<E> {
    pub(crate) exporter: E,
    pub(crate) spans: IntCounterVec,
    pub(crate) failing: AtomicBool,
}

impl<E> Counted<E> {
    fn count(&self, spans: usize, outcome: &OTelSdkResult) {
        let label = if outcome.is_ok() { "sent" } else { "failed" };
        self.spans.with_label_values(&[label]).inc_by(spans as u64);
        let was_failing = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "spans cannot be sent; this is said once until they can");
            }
            Ok(()) if was_failing => tracing::info!("spans are sent again"),
            _ => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        self.count(spans, &outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
