//! What the commands about executions take, one or many.

use chrono::{DateTime, Utc};
use clap::Args;

use super::PaceOptions;
use crate::moment;

/// What an execution may be.
const STATUSES: [&str; 7] =
    ["pending", "running", "waiting", "paused", "succeeded", "failed", "cancelled"];

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Id or name.
    pub(crate) workflow: String,
    /// The input: JSON, @FILE, or - for standard input.
    #[arg(long, short)]
    pub(crate) input: Option<String>,
    /// Wait for the end and print the result; fails if the execution does.
    #[arg(long, short)]
    pub(crate) wait: bool,
    /// The same key again gives the same execution.
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,
    /// Another version than the newest.
    #[arg(long)]
    pub(crate) workflow_version: Option<i32>,
    /// name=value, for finding it again.
    #[arg(long)]
    pub(crate) label: Vec<String>,
}

/// What executions are narrowed by.
#[derive(Debug, Args)]
pub(crate) struct FilterOptions {
    /// Id or name of the workflow.
    #[arg(long)]
    pub(crate) workflow: Option<String>,
    /// What they are.
    #[arg(long, value_parser = STATUSES)]
    pub(crate) status: Option<String>,
    /// name=value
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Part of the workflow's name, the beginning of the id, a label's value, or a value of the input that is searchable.
    #[arg(long, value_name = "TEXT")]
    pub(crate) q: Option<String>,
    /// An error code.
    #[arg(long)]
    pub(crate) error: Option<String>,
    /// Started since then: an instant, or how long ago, such as 2h.
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Started before then: an instant, or how long ago.
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    pub(crate) until: Option<DateTime<Utc>>,
}

impl FilterOptions {
    /// The fields that were given, by the names that the API has for them.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { workflow, status, label, q, error, since, until } = self;
        // The API writes a colon, because a query has `=` already.
        let label = label.as_ref();
        let label =
            label.map(|it| if it.contains(':') { it.clone() } else { it.replacen('=', ":", 1) });
        let fields = [
            ("workflow", workflow.clone()),
            ("status", status.clone()),
            ("label", label),
            ("q", q.clone()),
            ("error", error.clone()),
            ("since", since.map(moment::exact)),
            ("until", until.map(moment::exact)),
        ];
        fields.into_iter().filter_map(|(field, value)| Some((field, value?)))
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    pub(crate) filter: FilterOptions,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,
    /// Show it anew whenever it changes; not on a terminal, print what has changed. Ctrl-C ends it.
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusOptions {
    /// The execution's id.
    pub(crate) id: String,
    /// Follow it to its end; not on a terminal, print each attempt when it has ended.
    #[arg(long, short, visible_alias = "watch")]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ChildrenOptions {
    /// The execution's id.
    pub(crate) id: String,
    /// Only those that are this.
    #[arg(long, value_parser = STATUSES)]
    pub(crate) status: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateExecutionsOptions {
    /// Id or name of the workflow.
    pub(crate) workflow: String,
    /// The version that they run.
    #[arg(long)]
    pub(crate) from: i32,
    /// The version that they go on by.
    #[arg(long)]
    pub(crate) to: i32,
    /// Only say which would.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[expect(clippy::struct_excessive_bools, reason = "flags, each on its own")]
#[derive(Debug, Args)]
pub(crate) struct BulkOptions {
    /// What is done to each; `status`: how far the action with this id has come.
    #[arg(value_parser = ["cancel", "pause", "resume", "retry", "retry-step", "fork", "status"])]
    pub(crate) action: String,
    /// These executions; without any, those that the options find.
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: FilterOptions,
    /// Those that have failed and wait for somebody to look at them.
    #[arg(long)]
    pub(crate) dead_letters: bool,
    /// All executions.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only say how many there are, and which come first.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask, although it is for more than one.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) pace: PaceOptions,
    #[command(flatten)]
    pub(crate) fork: ForkChanges,
}

/// Where a fork begins, and what differs.
#[derive(Debug, Args)]
pub(crate) struct ForkChanges {
    /// The step that a fork begins with [default: the start].
    #[arg(long, value_name = "STEP")]
    pub(crate) from_step: Option<String>,
    /// Another version of the workflow, for a fork.
    #[arg(long, value_name = "VERSION")]
    pub(crate) workflow_version: Option<i32>,
    /// Changes to a fork's input as a JSON Merge Patch, such as '{"amount": 3, "coupon": null}': JSON, @FILE, or - for
    /// standard input.
    #[arg(long, value_name = "PATCH")]
    pub(crate) input_patch: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentsOptions {
    /// Of executions since then: an instant, or how long ago, such as 2h [default: a week ago].
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    pub(crate) since: Option<DateTime<Utc>>,
}

#[derive(Debug, Args)]
pub(crate) struct ReasonOptions {
    /// The execution's id.
    pub(crate) id: String,
    /// Why.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ForkOptions {
    /// The id of the execution to fork.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) changes: ForkChanges,
}

#[derive(Debug, Args)]
pub(crate) struct RetryStepOptions {
    /// The execution's id.
    pub(crate) id: String,
    /// The step to go on at [default: the one at which it stopped].
    #[arg(long)]
    pub(crate) step: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutionOptions {
    /// The execution's id.
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// The code, such as `EGRESS_DENIED`.
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsOptions {
    /// The execution's id.
    pub(crate) id: String,
    /// Follow it to its end.
    #[arg(long, short)]
    pub(crate) follow: bool,
}
