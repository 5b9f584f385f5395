//! Commands that say how the system is.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::Args;

use crate::moment;

#[derive(Debug, Args)]
pub(crate) struct HealthOptions {
    /// Only whether the process answers, as a liveness probe asks.
    #[arg(long, conflicts_with = "ready")]
    pub(crate) live: bool,
    /// Only whether it can serve requests, as a readiness probe asks.
    #[arg(long)]
    pub(crate) ready: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportOptions {
    /// In the text format of Prometheus instead of JSON.
    #[arg(long)]
    pub(crate) prometheus: bool,
    /// Into a file.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FailedOptions {
    /// Id or name of the workflow.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// An error code.
    #[arg(long, value_name = "CODE")]
    pub(crate) error: Option<String>,
    /// Started since then: an instant, or how long ago, such as 2h.
    #[arg(long, value_name = "WHEN", default_value = "24h", value_parser = moment::parse)]
    pub(crate) since: DateTime<Utc>,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ResetOptions {
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Even if the server is not on this machine.
    #[arg(long)]
    pub(crate) force: bool,
}
