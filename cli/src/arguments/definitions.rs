//! Definitions as files: applied, exported and imported.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 it worked, or with --dry-run: nothing differs; 1 it failed; 2 it was called wrongly, or with --dry-run: \
something differs.")]
pub(crate) struct ApplyOptions {
    /// A directory: every .json file in it and below is a definition, but for stateflow.plugin.json and what is hidden.
    pub(crate) dir: PathBuf,
    /// Only say what would change; exits with 2 if something would.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Archive workflows that only the server has; once all others are published.
    #[arg(long)]
    pub(crate) prune: bool,
    /// Do not ask before something is changed.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListWorkflowsOptions {
    /// How many [default: all].
    #[arg(long)]
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct ShowWorkflowOptions {
    /// Id or name.
    pub(crate) workflow: String,
    /// Another version than the newest.
    #[arg(
        long = "version",
        id = "workflow_version",
        value_name = "VERSION",
        alias = "workflow-version"
    )]
    pub(crate) version: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportWorkflowsOptions {
    /// Ids or names.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) workflows: Vec<String>,
    /// All workflows.
    #[arg(long)]
    pub(crate) all: bool,
    /// A directory for a file of each [default: standard output, as one JSON array unless it is one workflow].
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// Another version than the newest.
    #[arg(long, value_name = "VERSION", conflicts_with = "all")]
    pub(crate) workflow_version: Option<i32>,
}

#[derive(Debug, Args)]
pub(crate) struct ArchiveWorkflowsOptions {
    /// Ids or names.
    #[arg(required = true)]
    pub(crate) workflows: Vec<String>,
    /// Who does it, for the audit.
    #[arg(long, default_value = "api")]
    pub(crate) by: String,
    /// Do not ask before it is done to several.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportWorkflowsOptions {
    /// Files with a definition or with an array of them; - for standard input.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}
