//! What the server takes: its settings, once for all commands that run one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use egress::IpNet;
use store::retention::Retention;
use url::Url;

use super::SecretsKeyOptions;
use super::retention::retention;

#[derive(Debug, Args)]
pub(crate) struct DatabaseOptions {
    /// postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// The schema that the tables live in.
    #[arg(long, env = "STATEFLOW_SCHEMA", default_value = "stateflow")]
    pub(crate) schema: String,
}

#[derive(Debug, Args)]
pub(crate) struct ProcessOptions {
    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    #[command(flatten)]
    pub(crate) settings: SettingsOptions,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct SettingsOptions {
    /// Attempts that a worker makes at once [default: 10 per core].
    #[arg(long, env = "WORKER_CONCURRENCY")]
    pub(crate) concurrency: Option<u32>,
    /// Milliseconds that a worker's leases hold without a heartbeat.
    #[arg(long, env = "STATEFLOW_LEASE_MS", default_value_t = 15_000)]
    pub(crate) lease_ms: u64,
    /// Milliseconds that attempts may go on after the process was told to stop.
    #[arg(long, env = "STATEFLOW_DRAIN_MS", default_value_t = 30_000)]
    pub(crate) drain_ms: u64,
    /// Milliseconds that any attempt may take at most, whatever its step asks for.
    #[arg(long, env = "STATEFLOW_MAX_ATTEMPT_MS", default_value_t = 900_000)]
    pub(crate) max_attempt_ms: u64,
    /// Where compiled plugins and the key that authenticates them are kept.
    #[arg(long, env = "STATEFLOW_DATA_DIR", default_value = ".stateflow")]
    pub(crate) data_dir: PathBuf,
    /// Connections to the database.
    #[arg(long, env = "STATEFLOW_DATABASE_CONNECTIONS", default_value_t = 10)]
    pub(crate) connections: u32,
    /// Requests a second that each client address may make, twice as many at once; 0 for as many as it likes.
    #[arg(long, env = "STATEFLOW_RATE_LIMIT", default_value_t = 10_000)]
    pub(crate) rate_limit: u32,
    /// A proxy is in front of the API and puts clients' addresses last into `X-Forwarded-For`: count by those.
    #[arg(long, env = "STATEFLOW_BEHIND_PROXY")]
    pub(crate) behind_proxy: bool,
    /// The largest plugin upload, in bytes.
    #[arg(long, env = "STATEFLOW_MAX_UPLOAD_BYTES", default_value_t = 32 << 20)]
    pub(crate) max_upload_bytes: usize,
    /// A JSON file with what a plugin may look like and what compiling it may cost: `shape`, `compile`.
    #[arg(long, value_name = "FILE", env = "STATEFLOW_PLUGIN_BUILD")]
    pub(crate) plugin_build: Option<PathBuf>,
    /// What the blobs of a namespace may take, in bytes.
    #[arg(long, env = "STATEFLOW_MAX_BLOB_BYTES", default_value_t = 1 << 30)]
    pub(crate) max_blob_bytes: u64,
    /// How long things are kept, such as succeeded=7d,failed=90d,dead-letters=forever; also cancelled, events, keys, audit,
    /// bulk-actions, blobs. Hours (h), days (d) or forever [default: succeeded=30d,failed=90d,cancelled=30d,
    /// dead-letters=forever,events=30d,keys=30d,audit=400d,bulk-actions=90d,blobs=7d].
    #[arg(long, value_name = "NAME=TIME,…", env = "STATEFLOW_RETENTION", default_value = "", hide_default_value = true, value_parser = retention)]
    pub(crate) retention: Retention,
    /// A directory where executions and messages are archived before they are deleted, as JSON lines; what cannot be
    /// archived stays.
    #[arg(long, value_name = "DIR", env = "STATEFLOW_ARCHIVE_DIR")]
    pub(crate) archive_dir: Option<PathBuf>,
    /// A private range that steps may call beside the public internet, such as 10.1.0.0/16; may be repeated.
    #[arg(long, value_name = "CIDR", env = "STATEFLOW_EGRESS_ALLOW_CIDR", value_delimiter = ',')]
    pub(crate) egress_allow_cidr: Vec<IpNet>,
    /// A JSON file with what all namespaces are allowed at most: `egress`, and maxima for `plugins`.
    #[arg(long, value_name = "FILE", env = "STATEFLOW_POLICY")]
    pub(crate) policy: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) keys: SecretsKeyOptions,
    /// The base URL of an OpenTelemetry collector that gets traces: OTLP over HTTP, on port 4318 by convention. The variable
    /// `OTEL_EXPORTER_OTLP_HEADERS` has headers for it.
    #[arg(long, value_name = "URL", env = "STATEFLOW_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<Url>,
    /// What the process is called in traces.
    #[arg(long, value_name = "NAME", env = "OTEL_SERVICE_NAME", default_value = "stateflow")]
    pub(crate) trace_service: String,
    /// The part of the traces that begin here which is recorded, from 0 to 1; traces of callers are recorded if theirs are.
    #[arg(long, value_name = "RATIO", env = "STATEFLOW_TRACE_RATIO", default_value_t = 1.0)]
    pub(crate) trace_ratio: f64,
    /// `text` or `json`.
    #[arg(long, env = "STATEFLOW_LOG_FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub(crate) log_format: String,
}

#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    pub(crate) process: ProcessOptions,
    /// The address that the API listens on.
    #[arg(long, env = "STATEFLOW_LISTEN", default_value = "127.0.0.1:4000")]
    pub(crate) listen: String,
    /// Serve the API only.
    #[arg(long)]
    pub(crate) no_worker: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WorkerOptions {
    #[command(flatten)]
    pub(crate) process: ProcessOptions,
    /// An address for probes and metrics, without the rest of the API: `/api/health`, `/api/health/live`, `/api/health/ready`,
    /// `/api/metrics/prometheus`.
    #[arg(long, env = "STATEFLOW_WORKER_LISTEN")]
    pub(crate) listen: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DevOptions {
    /// The port of the API; 0 takes a free one.
    #[arg(long, env = "STATEFLOW_PORT", default_value_t = 4000)]
    pub(crate) port: u16,
    /// Keep nothing: the data goes when the process ends.
    #[arg(long)]
    pub(crate) ephemeral: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsOptions,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    /// Transactions that are open for longer than so many seconds are told.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) long_transaction_s: u64,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateOptions {
    /// Up, to this build's version; down, by one; or what is applied and what is pending (fails if anything is).
    #[arg(value_enum, default_value = "up")]
    pub(crate) direction: Direction,
    /// To this version instead; down to 0 takes everything back. What goes down loses data.
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<i64>,
    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    /// The same as `down --to`.
    #[arg(long, value_name = "VERSION", conflicts_with_all = ["direction", "to"])]
    pub(crate) down_to: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    Up,
    Down,
    Status,
}
