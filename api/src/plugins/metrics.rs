//! What a server counts of uploads: how long their compilers took, and what was refused.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use sandbox::{CompileReceipt, SandboxError};

/// See the module.
#[derive(Debug)]
pub(crate) struct UploadMetrics {
    compile_seconds: HistogramVec,
    uploads: IntCounterVec,
}

impl UploadMetrics {
    /// Fails if the registry has them already.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let compile_seconds = HistogramVec::new(
            HistogramOpts::new(
                "stateflow_plugin_compile_duration_seconds",
                "wall clock of compiling uploads, by the level of optimisation that they came to",
            )
            .buckets(prometheus::exponential_buckets(0.01, 3.0, 9)?),
            &["tier"],
        )?;
        let uploads = IntCounterVec::new(
            Opts::new(
                "stateflow_plugin_uploads_total",
                "uploads that were judged, by the code of the refusal (empty: taken)",
            ),
            &["code"],
        )?;
        registry.register(Box::new(compile_seconds.clone()))?;
        registry.register(Box::new(uploads.clone()))?;
        Ok(Self { compile_seconds, uploads })
    }

    /// An upload can run here.
    pub(crate) fn compiled(&self, receipt: &CompileReceipt) {
        self.uploads.with_label_values(&[""]).inc();
        if !receipt.cached {
            let took = Duration::from_millis(receipt.ms).as_secs_f64();
            self.compile_seconds.with_label_values(&[receipt.tier.as_str()]).observe(took);
        }
    }

    /// An upload cannot run here. The codes are the sandbox's own, so there are few.
    pub(crate) fn refused(&self, error: &SandboxError) {
        let code = match error {
            SandboxError::Invalid { code, .. } => code.as_ref(),
            _ => "INTERNAL",
        };
        self.uploads.with_label_values(&[code]).inc();
    }
}
