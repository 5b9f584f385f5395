//! The handle that spans are recorded with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use engine::trace::TraceParent;
use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use url::Url;

use crate::Span;
use crate::exporting::Counted;

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last export.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// The last bits of an execution's id, which are drawn for each: those before them may count within a millisecond (RFC 9562,
/// section 6.2), so that a burst of starts would be sampled as one.
const RANDOM_BITS: u32 = 32;

/// What an operator sets. The collector's headers and the sizes of the queue and the batches are set as everywhere, by the
/// environment variables `OTEL_*`.
#[derive(Clone, Debug, PartialEq)]
pub struct TracesSettings {
    /// The collector, such as `http://127.0.0.1:4318`; without a path, `/v1/traces` is added. OTLP over HTTP, binary.
    pub endpoint: Url,
    /// The part of the traces that begin here which is recorded, from 0 to 1. Those that begin elsewhere are recorded if
    /// they are there.
    pub ratio: f64,
    /// What the process is called in traces.
    pub service: String,
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The part that is to be recorded is none.
    #[error("the ratio of traces is a number from 0 to 1, not {ratio}")]
    Ratio {
        /// What it was.
        ratio: f64,
    },
    /// The exporter cannot be set up.
    #[error("cannot set up the export of traces")]
    Exporter(#[from] ExporterBuildError),
}

/// Counts spans, whether there are any or not: a metric that comes and goes is hard to alert on.
#[derive(Debug)]
pub struct SpanCounter(IntCounterVec);

impl SpanCounter {
    /// Fails if the registry has one already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let spans = IntCounterVec::new(
            Opts::new(
                "stateflow_trace_spans_total",
                "Spans by what became of them; what was recorded and neither sent nor failed was dropped, or waits.",
            ),
            &["outcome"],
        )?;
        for outcome in ["recorded", "sent", "failed"] {
            spans.with_label_values(&[outcome]);
        }
        registry.register(Box::new(spans.clone()))?;
        Ok(Self(spans))
    }
}

/// Records spans, if there is a collector. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Recording>>);

#[derive(Debug)]
struct Recording {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    recorded: IntCounter,
    least_random: u64,
}

impl Traces {
    /// Without a collector: nothing is recorded, at no cost.
    pub fn off() -> Self {
        Self::default()
    }

    /// Sends what is recorded in the background. What cannot be sent in time is dropped, never waited for.
    pub fn open(settings: &TracesSettings, spans: SpanCounter) -> Result<Self, TracesError> {
        let ratio = settings.ratio;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(TracesError::Ratio { ratio });
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(target(&settings.endpoint))
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let spans = spans.0;
        let recorded = spans.with_label_values(&["recorded"]);
        let exporter = Counted { exporter, spans, failing: AtomicBool::new(false) };
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(&resource(&settings.service));
        let scope = InstrumentationScope::builder("stateflow")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        let least_random = least_random(ratio);
        Ok(Self(Some(Arc::new(Recording { processor, scope, recorded, least_random }))))
    }

    /// Whether anything is recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a trace is recorded: whoever began it decides, here by its id, so that all workers decide alike. Without a
    /// collector the others are told that it is, because they may have one.
    pub fn samples(&self, own: TraceParent, caller: Option<TraceParent>) -> bool {
        match (caller, &self.0) {
            (Some(caller), _) => caller.is_sampled(),
            (None, Some(recording)) => random_of(own) >= recording.least_random,
            (None, None) => true,
        }
    }

    /// Takes a span of a trace that is sampled.
    pub fn record(&self, span: Span) {
        let Some(recording) = &self.0 else { return };
        recording.recorded.inc();
        recording.processor.on_end(span.into_data(&recording.scope));
    }

    /// Sends what is left, for some seconds at most. Blocks.
    pub fn shutdown(&self) {
        let Some(recording) = &self.0 else { return };
        if let Err(error) = recording.processor.shutdown_with_timeout(SHUTDOWN) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Source: OTLP specification, "OTLP/HTTP request": a base URL gets the signal's path.
fn target(endpoint: &Url) -> String {
    let mut target = endpoint.clone();
    if matches!(endpoint.path(), "" | "/") {
        target.set_path("/v1/traces");
    }
    target.into()
}

fn resource(service: &str) -> Resource {
    Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// A trace is sampled if its randomness is not below the threshold of rejection. Source: OpenTelemetry specification,
/// "`TraceState`: probability sampling".
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "from 0 to 2^32"
)]
fn least_random(ratio: f64) -> u64 {
    ((1.0 - ratio) * (1_u64 << RANDOM_BITS) as f64) as u64
}

fn random_of(place: TraceParent) -> u64 {
    u64::try_from(place.trace_id() & ((1 << RANDOM_BITS) - 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_base_gets_the_signals_path_and_another_path_stays() {
        let of = |text: &str| target(&text.parse().unwrap());
        assert_eq!(of("http://127.0.0.1:4318"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(of("http://127.0.0.1:4318/"), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(of("https://a.example/otlp/traces"), "https://a.example/otlp/traces");
    }

    #[test]
    fn a_part_of_fresh_ids_is_sampled() {
        let share = |ratio: f64| {
            let least = least_random(ratio);
            let ids = (0..10_000).map(|_| TraceParent::of_execution(Uuid::now_v7()));
            ids.filter(|it| random_of(*it) >= least).count()
        };
        assert_eq!(share(0.0), 0);
        assert_eq!(share(1.0), 10_000);
        let tenth = share(0.1);
        assert!((800..1_200).contains(&tenth), "{tenth}");
    }

    #[test]
    fn whoever_began_a_trace_decides() {
        let own = TraceParent::of_execution(Uuid::now_v7());
        let traces = Traces::off();
        assert!(traces.samples(own, None));
        assert!(traces.samples(own, Some(own)));
        assert!(!traces.samples(own, Some(own.sampled(false))));
    }
}
