//! `stateflow dlq`: failed executions that wait for somebody to look at them.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use crate::moment;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List dead letters, newest first.
    List(ListDeadLettersOptions),
    /// Show a dead letter: what failed, why, with which input.
    Show {
        /// The execution's id.
        id: String,
    },
    /// Run dead letters again from where they stopped: by ids, or by what narrows the list.
    Redrive(RedriveOptions),
    /// Take dead letters off the list. Their executions stay in the history, as failed.
    Purge(PurgeOptions),
}

/// What dead letters are narrowed by.
#[derive(Debug, Args)]
pub(crate) struct DeadLetterFilter {
    /// Id or name of the workflow.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// An error code.
    #[arg(long, value_name = "CODE")]
    pub(crate) error: Option<String>,
    /// Started since then: an instant, or how long ago, such as 2h.
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Started before then: an instant, or how long ago.
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    pub(crate) until: Option<DateTime<Utc>>,
}

impl DeadLetterFilter {
    /// The fields that were given, by the names that the API has for them.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, String)> {
        let fields = [
            ("workflow", self.workflow.clone()),
            ("error", self.error.clone()),
            ("since", self.since.map(moment::exact)),
            ("until", self.until.map(moment::exact)),
        ];
        fields.into_iter().filter_map(|(field, value)| Some((field, value?)))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListDeadLettersOptions {
    #[command(flatten)]
    pub(crate) filter: DeadLetterFilter,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
pub(crate) struct DeadLetterTargets {
    /// These executions; without any, those that the options find.
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: DeadLetterFilter,
    /// All dead letters.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only say how many there are.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before it is done to several.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RedriveOptions {
    #[command(flatten)]
    pub(crate) targets: DeadLetterTargets,
    /// Run them from their first step on.
    #[arg(long)]
    pub(crate) from_start: bool,
    #[command(flatten)]
    pub(crate) pace: PaceOptions,
}

/// How fast many executions are acted on.
#[derive(Debug, Args)]
pub(crate) struct PaceOptions {
    /// Executions a second [default: as fast as it goes].
    #[arg(long)]
    pub(crate) rate: Option<u32>,
    /// So many first; the others only when these have ended or, if they are to be paused, rest.
    #[arg(long, default_value_t = 0)]
    pub(crate) canary: u32,
    /// Stop when a larger part than this has failed, from 0 to 1.
    #[arg(long)]
    pub(crate) stop_above: Option<f64>,
    /// Wait until it is done; fails if it was stopped.
    #[arg(long, short)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PurgeOptions {
    #[command(flatten)]
    pub(crate) targets: DeadLetterTargets,
    /// Who says so, for the audit.
    #[arg(long, default_value = "api")]
    pub(crate) by: String,
    /// Why, for the audit.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}
