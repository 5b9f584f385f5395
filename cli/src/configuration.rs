//! From the command line and the environment to the settings of each concern. Read once, checked as a whole.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use egress::{Egress, EgressSettings, Private};
use engine::policy::Policy;
use native::{HttpSettings, NativeSteps};
use prometheus::Registry;
use sandbox::{CallLimits, Isolation, SandboxConfig};
use secrets::Keyring;
use store::StoreSettings;
use traces::{SpanCounter, Traces, TracesSettings};
use worker::{Policies, WorkerSettings};
use zeroize::Zeroizing;

use crate::arguments::{DatabaseOptions, SettingsOptions};
use crate::output::Usage;
use crate::plugin_build::PluginBuild;

/// The shortest lease: below it, a busy machine would lose its work.
const MIN_LEASE_MS: u64 = 1_000;

/// The first argument of a process that compiles plugins for another. Not for people.
pub(crate) const COMPILE_COMMAND: &str = "__compile";

/// The store's settings.
pub(crate) fn store(options: &DatabaseOptions, connections: u32) -> anyhow::Result<StoreSettings> {
    let Some(url) = &options.database_url else {
        bail!(Usage(
            "no database: set DATABASE_URL or --database-url, or use `stateflow dev`, which brings its own".into()
        ));
    };
    let schema =
        options.schema.parse().map_err(|error: store::StoreError| Usage(error.to_string()))?;
    Ok(StoreSettings { max_connections: connections, ..StoreSettings::new(url, schema) })
}

/// All faults of the settings at once.
pub(crate) fn check(options: &SettingsOptions) -> anyhow::Result<()> {
    let mut faults = Vec::new();
    if options.lease_ms < MIN_LEASE_MS {
        faults.push(format!("--lease-ms is at least {MIN_LEASE_MS}"));
    }
    if options.concurrency == Some(0) {
        faults.push("--concurrency is at least 1".to_owned());
    }
    if options.max_attempt_ms == 0 {
        faults.push("--max-attempt-ms is at least 1".to_owned());
    }
    if options.connections < 4 {
        faults.push("--connections is at least 4".to_owned());
    }
    if let Err(error) = Private::new(options.egress_allow_cidr.iter().copied()) {
        faults.push(format!("--egress-allow-cidr: {error}"));
    }
    if !(0.0..=1.0).contains(&options.trace_ratio) {
        faults.push("--trace-ratio is from 0 to 1".to_owned());
    }
    let is_http = |url: &url::Url| matches!(url.scheme(), "http" | "https");
    if options.otlp_endpoint.as_ref().is_some_and(|url| !is_http(url)) {
        faults.push("--otlp-endpoint is http:// or https://".to_owned());
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!(Usage(faults.join("; ")))
}

/// Where spans go.
pub(crate) fn traces(options: &SettingsOptions, registry: &Registry) -> anyhow::Result<Traces> {
    let counter = SpanCounter::register(registry)?;
    let Some(endpoint) = options.otlp_endpoint.clone() else { return Ok(Traces::off()) };
    let settings = TracesSettings {
        endpoint,
        ratio: options.trace_ratio,
        service: options.trace_service.clone(),
    };
    Ok(Traces::open(&settings, counter)?)
}

/// The worker's settings.
pub(crate) fn worker(options: &SettingsOptions) -> WorkerSettings {
    let defaults = WorkerSettings::default();
    WorkerSettings {
        concurrency: options.concurrency.unwrap_or(defaults.concurrency),
        lease: Duration::from_millis(options.lease_ms),
        drain: Duration::from_millis(options.drain_ms),
        max_attempt: Duration::from_millis(options.max_attempt_ms),
        max_blob_bytes: options.max_blob_bytes,
        retention: options.retention,
        archive_dir: options.archive_dir.clone(),
        host: nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        ..defaults
    }
}

/// The sandbox's settings. The key that authenticates compiled plugins is made on first use and stays on this
/// machine.
pub(crate) fn sandbox(options: &SettingsOptions) -> anyhow::Result<SandboxConfig> {
    let directory = options.data_dir.join("plugins");
    make_directory(&options.data_dir)?;
    make_directory(&directory)?;
    let key = cache_key(&options.data_dir.join("plugins.key"))?;
    let build = PluginBuild::read(options.plugin_build.as_deref())?;
    let defaults = build.onto(SandboxConfig::new(key));
    let timeout = Duration::from_millis(options.max_attempt_ms);
    Ok(SandboxConfig {
        cache_dir: Some(directory),
        isolation: compiler()?,
        max_upload_bytes: options.max_upload_bytes,
        ceilings: CallLimits { timeout, ..defaults.ceilings },
        defaults: CallLimits {
            timeout: defaults.defaults.timeout.min(timeout),
            ..defaults.defaults
        },
        ..defaults
    })
}

/// Plugins are compiled by this very program, in a process of its own.
pub(crate) fn compiler() -> anyhow::Result<Isolation> {
    let program = std::env::current_exe().context("cannot find out which program this is")?;
    Ok(Isolation::Process { program, arguments: vec![COMPILE_COMMAND.to_owned()] })
}

/// The way out, and the ranges that the operator opened beside the public internet.
pub(crate) fn egress(options: &SettingsOptions) -> anyhow::Result<(Egress, Private)> {
    let private = Private::new(options.egress_allow_cidr.iter().copied())?;
    Ok((Egress::new(EgressSettings::default())?, private))
}

/// The built-in steps. They call what the policies allow.
pub(crate) fn native_steps(egress: Egress, policies: Policies) -> NativeSteps {
    let grants = Arc::new(policies);
    NativeSteps::new(egress, HttpSettings { grants, ..HttpSettings::default() })
}

/// What the installation allows all namespaces: the file that `--policy` names, or everything.
pub(crate) fn operator_policy(options: &SettingsOptions) -> anyhow::Result<Policy> {
    let Some(path) = &options.policy else { return Ok(Policy::default()) };
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the policy {}", path.display()))?;
    let policy: Policy = serde_json::from_str(&text)
        .map_err(|error| Usage(format!("the policy {} is not one: {error}", path.display())))?;
    let mut faults = policy.faults();
    faults.extend(policy.egress.iter().flatten().enumerate().filter_map(|(at, rule)| {
        let error = rule.parse::<egress::Rule>().err()?;
        Some((format!("/egress/{at}"), error.to_string()))
    }));
    if faults.is_empty() {
        return Ok(policy);
    }
    let told: Vec<_> = faults.iter().map(|(place, fault)| format!("{place}: {fault}")).collect();
    bail!(Usage(format!("the policy {} has faults: {}", path.display(), told.join("; "))))
}

/// The keys that secrets are sealed with, if there are any.
pub(crate) fn secrets_keys(options: &SettingsOptions) -> anyhow::Result<Option<Keyring>> {
    let (text, from) = match (&options.keys.secrets_key, &options.keys.secrets_key_file) {
        (Some(_), Some(_)) => {
            bail!(Usage(
                "STATEFLOW_SECRETS_KEY and --secrets-key-file are both set: use one".into()
            ))
        }
        (None, None) => return Ok(None),
        (Some(keys), None) => (Zeroizing::new(keys.clone()), "STATEFLOW_SECRETS_KEY".to_owned()),
        (None, Some(path)) => {
            let text = fs::read_to_string(path).with_context(|| {
                format!("cannot read the keys for secrets in {}", path.display())
            })?;
            (Zeroizing::new(text), path.display().to_string())
        }
    };
    let keyring = Keyring::parse(&text).map_err(|error| Usage(format!("{from}: {error}")))?;
    Ok(Some(keyring))
}

/// The file with the key for secrets, made on first use.
pub(crate) fn own_secrets_key(directory: &Path) -> anyhow::Result<PathBuf> {
    make_directory(directory)?;
    let path = directory.join("secrets.key");
    make_key(&path, &BASE64_STANDARD.encode(rand::random::<[u8; 32]>()))?;
    Ok(path)
}

/// Where downloads are kept: the user's cache directory.
pub(crate) fn cache_directory() -> PathBuf {
    let set =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("stateflow")
}

fn make_directory(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}

fn cache_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    if let Ok(text) = fs::read_to_string(path) {
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).with_context(|| {
            format!("{} is not a key; remove it to have a new one made", path.display())
        })?;
        return Ok(key);
    }
    make_key(path, &hex::encode(rand::random::<[u8; 32]>()))?;
    cache_key(path)
}

/// Writes a key to a file unless there is one, for its owner alone to read. The whole file appears at once, and never in
/// place of another: of two processes that start together, one makes the key and both read it.
fn make_key(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let cannot = || format!("cannot make the key {}", path.display());
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error).with_context(cannot),
    }
}
