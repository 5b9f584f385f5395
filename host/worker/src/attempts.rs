//! Runs one attempt: picks native code or the sandbox, bounds its time, counts it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::attempt::{AttemptContext, AttemptReport, LogLevel, LogLine};
use engine::capability::{Capability, CapabilityKind, CapabilitySet};
use engine::failure::{ErrorCode, Failure, RetryAdvice};
use engine::machine::StartAttempt;
use engine::placeholder::Placeholders;
use engine::plan::PlannedStep;
use engine::step_type::StepType;
use native::NativeSteps;
use sandbox::{CallLimits, Live, PluginCall};
use secrets::holder::Names;
use secrets::{Holder, Opened, Reach};
use serde_json::{Map, Value, json};
use store::Store;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::blobs::NamespaceBlobs;
use crate::glimpse::Glimpse;
use crate::metrics::WorkerMetrics;
use crate::plugins::{Known, Plugins, Wanted};
use crate::policies::{Allowed, Policies};
use crate::reveals::RevealRecord;
use crate::vault::Vault;

/// How long a sandbox may take beyond an attempt's bound to notice it: it has its own clock, this one only
/// stands behind it.
const SANDBOX_GRACE: Duration = Duration::from_secs(5);

/// An instant further away may not exist.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// An attempt to make.
pub(crate) struct Assignment {
    pub(crate) namespace_id: i32,
    pub(crate) context: AttemptContext,
    pub(crate) start: StartAttempt,
    pub(crate) placeholders: Placeholders,
    /// What is seen of it meanwhile.
    pub(crate) glimpse: Glimpse,
}

#[derive(Clone)]
pub(crate) struct Attempts {
    pub(crate) native: NativeSteps,
    pub(crate) plugins: Plugins,
    pub(crate) policies: Policies,
    pub(crate) vault: Vault,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) store: Store,
    /// The operator's bounds: of any attempt, and of the blobs of a namespace.
    pub(crate) max_attempt: Duration,
    pub(crate) max_blob_bytes: u64,
}

impl Attempts {
    /// Makes the attempt; nothing in its report is a secret. Dropping the future stops it.
    pub(crate) async fn run(&self, mut assignment: Assignment) -> AttemptReport {
        let most = u64::try_from(self.max_attempt.as_millis()).unwrap_or(u64::MAX);
        let start = &mut assignment.start;
        start.timeout_ms = start.timeout_ms.min(most);
        let step_type = start.step.step.step_type.clone();
        if start.attempt > 1 {
            self.metrics.retried.with_label_values(&[step_type.as_str()]).inc();
        }
        let began = Instant::now();
        let report = match self.vault.of(assignment.namespace_id).await {
            Ok(opened) => self.run_scrubbed(assignment, opened).await,
            Err(failure) => AttemptReport::of(Err(failure)),
        };
        let code = report.outcome.failure().map_or("", |failure| failure.code.as_str());
        self.metrics.attempts.with_label_values(&[step_type.as_str(), code]).inc();
        self.metrics
            .attempt_seconds
            .with_label_values(&[step_type.as_str()])
            .observe(began.elapsed().as_secs_f64());
        report
    }

    /// Has the policy at hand for a step that makes requests.
    async fn allow_native(
        &self,
        namespace_id: i32,
        name: &str,
        context: &AttemptContext,
    ) -> Result<(), Failure> {
        if name == "http" {
            Box::pin(self.policies.of(namespace_id, &context.namespace)).await?;
        }
        Ok(())
    }

    async fn run_scrubbed(&self, assignment: Assignment, opened: Arc<Opened>) -> AttemptReport {
        let Assignment { namespace_id, context, mut start, placeholders, glimpse } = assignment;
        let kind = start.step.kind.clone();
        let reach = match &kind {
            StepType::Native(_) => Reach::of_native_step(),
            StepType::Plugin(_) => Reach::of_config(&placeholders, &start.config),
            // The core never wishes for one.
            StepType::Control(kind) => return AttemptReport::of(Err(no_such_type(kind.as_str()))),
        };
        let holder = Arc::new(Holder::new(placeholders, opened, reach));
        if let Err(error) = holder.check(&start.config) {
            let failure = Failure::permanent(ErrorCode::ConfigInvalid, error.to_string());
            return AttemptReport::of(Err(failure));
        }
        let mut report = match &kind {
            StepType::Native(name) => {
                if name == "log" {
                    // It goes to the process's log before there is a report.
                    holder.scrubber().value(&mut start.config);
                }
                match self.allow_native(namespace_id, name, &context).await {
                    Ok(()) => {
                        let secrets = Arc::clone(&holder);
                        self.run_native(name, &context, start.config, start.timeout_ms, secrets)
                            .await
                    }
                    Err(failure) => AttemptReport::of(Err(failure)),
                }
            }
            _ => {
                let live = glimpse.through(&holder);
                // Boxed: steps of other types need not carry its size.
                Box::pin(self.run_plugin(namespace_id, context, start, &holder, live)).await
            }
        };
        holder.scrubber().report(&mut report);
        report
    }

    async fn run_native(
        &self,
        name: &str,
        context: &AttemptContext,
        config: Value,
        timeout_ms: u64,
        secrets: Arc<Holder>,
    ) -> AttemptReport {
        let Some(step) = self.native.get(name) else {
            return AttemptReport::of(Err(no_such_type(name)));
        };
        let bound = Duration::from_millis(timeout_ms).min(LONGEST);
        let deadline = Instant::now() + bound;
        let run = step.run(context, deadline, config, secrets);
        match tokio::time::timeout_at(deadline.into(), run).await {
            Ok(report) => report,
            Err(_) => AttemptReport::of(Err(timed_out(timeout_ms))),
        }
    }

    async fn run_plugin(
        &self,
        namespace_id: i32,
        context: AttemptContext,
        start: StartAttempt,
        of_config: &Holder,
        live: Live,
    ) -> AttemptReport {
        let StartAttempt { step, .. } = &start;
        let (StepType::Plugin(reference), Some(locked)) = (&step.kind, &step.plugin) else {
            let message = format!("`{}` is locked to no version", step.step.step_type);
            return AttemptReport::of(Err(Failure::permanent(ErrorCode::PluginMissing, message)));
        };
        let (name, locked) = (reference.name.clone(), locked.clone());
        let wanted = Wanted { namespace_id, name, locked };
        // Boxed: it is rarely more than a look at two caches, and large when it is.
        let preparing = Box::pin(self.prepare(wanted, context, &start, of_config));
        let (plugin, mut call) = match preparing.await {
            Ok(prepared) => prepared,
            Err(failure) => return AttemptReport::of(Err(failure)),
        };
        call.config = start.config;
        call.live = live;
        let holder = call.holder.clone();
        let (execution_id, number) = (call.attempt.execution_id, start.attempt);
        let stop_with_us = call.cancel.clone().drop_guard();
        let bound = Duration::from_millis(start.timeout_ms).saturating_add(SANDBOX_GRACE);
        let step = start.step.step.id.as_str();
        let place = json!({ "executionId": execution_id, "step": step, "attempt": number });
        call.reveals = Some(RevealRecord::of(&self.store, namespace_id, &plugin.name, place));
        let running = self.metrics.plugins.begin(&plugin.name);
        let span = tracing::info_span!(
            "plugin",
            name = plugin.name,
            %execution_id,
            step,
            attempt = number
        );
        let calling = self.plugins.sandbox().call(&plugin.plugin, call).instrument(span);
        let called = tokio::time::timeout(bound, calling).await;
        drop(stop_with_us);
        let Ok(called) = called else {
            running.overdue();
            return AttemptReport::of(Err(timed_out(start.timeout_ms)));
        };
        running.end(&called);
        self.metrics.plugins.pooled(self.plugins.sandbox().pool());
        let mut report = called.report;
        let seen = holder.map_or_else(Vec::new, |holder| holder.revealed());
        report.logs.extend(seen.iter().map(|name| revealed(name)));
        report
    }

    /// The plugin, and its call but for the config.
    async fn prepare(
        &self,
        wanted: Wanted,
        context: AttemptContext,
        start: &StartAttempt,
        of_config: &Holder,
    ) -> Result<(Arc<Known>, PluginCall), Failure> {
        let metrics = &self.metrics.plugins;
        let namespace_id = wanted.namespace_id;
        let plugin = self.plugins.get(&context.namespace, wanted, metrics).await?;
        let allowed = self.policies.of(namespace_id, &context.namespace).await?;
        let reach = self.policies.reach(&allowed, &plugin.name, &plugin.grants, &start.step)?;
        let of_config = of_config.narrowed(|name| may_be_in_config(&allowed, &start.step, name));
        of_config
            .check(&start.config)
            .map_err(|error| Failure::permanent(ErrorCode::ConfigInvalid, error.to_string()))?;
        let secrets = granted_secrets(&allowed, &plugin.grants, &start.step);
        let granted = |kind| plugin.grants.iter().any(|it| it.kind == kind && allowed.allows(it));
        let call = PluginCall {
            attempt: context,
            config: Value::Null,
            limits: allowed.lowered(self.limits(&start.step, start.timeout_ms)),
            share: allowed.share(),
            reach,
            holder: Some(Arc::new(of_config.with(secrets))),
            resumption: start.resumption.clone(),
            live: Live::default(),
            reveals: None,
            may_suspend: granted(CapabilityKind::Progress),
            blobs: granted(CapabilityKind::Blob)
                .then(|| NamespaceBlobs::of(&self.store, namespace_id, self.max_blob_bytes)),
            cancel: CancellationToken::new(),
        };
        Ok((plugin, call))
    }

    fn limits(&self, step: &PlannedStep, timeout_ms: u64) -> CallLimits {
        let defaults = self.plugins.sandbox().default_limits();
        let asked = step.step.limits.clone().unwrap_or_default();
        CallLimits {
            fuel: asked.fuel.unwrap_or(defaults.fuel),
            memory_bytes: asked
                .memory_mb
                .map_or(defaults.memory_bytes, |mb| mb.saturating_mul(1 << 20)),
            timeout: Duration::from_millis(timeout_ms),
        }
    }
}

/// Whether a plugin may be handed this secret's placeholder by the workflow's author: the plugin need not have been
/// granted it, but the policies and the step bound it all the same.
fn may_be_in_config(allowed: &Allowed, step: &PlannedStep, name: &str) -> bool {
    let left = step.step.limits.as_ref().and_then(|limits| limits.secrets.as_ref());
    allowed.allows(&Capability::of(CapabilityKind::Secret, name))
        && left.is_none_or(|names| names.iter().any(|it| it == name))
}

/// The secrets that a plugin was granted, as far as the policies and the step leave them to it.
fn granted_secrets(allowed: &Allowed, grants: &CapabilitySet, step: &PlannedStep) -> Reach {
    let left = step.step.limits.as_ref().and_then(|limits| limits.secrets.as_ref());
    let of = |kind| {
        let named = grants.iter().filter(|it| it.kind == kind && allowed.allows(it));
        let named = named.filter(|it| left.is_none_or(|names| names.contains(&it.subject)));
        Names::Only(named.map(|it| it.subject.clone()).collect())
    };
    Reach {
        send: of(CapabilityKind::Secret),
        sign: of(CapabilityKind::Sign),
        reveal: of(CapabilityKind::Reveal),
    }
}

fn no_such_type(name: &str) -> Failure {
    Failure::new(ErrorCode::Internal, format!("this worker has no step type `{name}`"))
}

/// So that the execution's log says it, beside the process's.
fn revealed(name: &str) -> LogLine {
    let message = format!("the secret `{name}` was revealed to the plugin");
    LogLine { level: LogLevel::Warn, message, fields: Map::new() }
}

fn timed_out(timeout_ms: u64) -> Failure {
    Failure::new(
        ErrorCode::Timeout,
        format!("the attempt ran longer than its bound of {timeout_ms} ms"),
    )
    .with_advice(RetryAdvice::Policy)
}
