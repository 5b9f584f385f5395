//! The commands about plugins, and about what they may do.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a plugin from a template, in a new folder.
    New(NewOptions),
    /// Build the plugin in a folder with the tools of its language.
    Build(BuildOptions),
    /// Do what an upload does, offline: check, adapt and compile a plugin.
    Check(LocalOptions),
    /// Run a plugin once, offline, in the server's sandbox.
    Run(RunPluginOptions),
    /// Show what a plugin is: a file, or NAME or NAME@VERSION on the server.
    Inspect(InspectOptions),
    /// Upload a plugin.
    Push(PushOptions),
    /// List plugins.
    List,
    /// Grant a waiting version what it asks for.
    Approve(ApproveOptions),
    /// Take a version back: no new workflow version uses it, and executions that have it go on.
    Yank(YankOptions),
    /// Compare two versions: NAME OLD NEW, NAME@OLD NAME@NEW, or two files.
    Diff(DiffOptions),
    /// Make a key that signs plugins.
    Keygen(KeygenOptions),
    /// Sign a version on the server, or print the signature of a file.
    Sign(SignOptions),
    /// Remove yanked versions that no workflow version uses.
    Collect(CollectOptions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print the policy.
    Show,
    /// Put the policy of a file in place of the one that is there.
    Set {
        /// A JSON file.
        file: PathBuf,
        /// Who decides it.
        #[arg(long, value_name = "WHO")]
        by: String,
        /// Only if this is still the revision in force.
        #[arg(long)]
        revision: Option<i32>,
    },
}

/// What plugins are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Rust,
    C,
    Js,
    Zig,
    Python,
    Go,
}

#[derive(Debug, Args)]
pub(crate) struct NewOptions {
    /// team/name, or a name alone for the team `demo`.
    pub(crate) name: String,
    /// What it is written in.
    #[arg(long, value_enum)]
    pub(crate) lang: Language,
    /// The folder that it goes into [default: the name].
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildOptions {
    /// The plugin's folder.
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Where the plugin goes [default: NAME.wasm in its folder].
    #[arg(long, short)]
    pub(crate) output: Option<PathBuf>,
}

/// A plugin here, with what is said of it.
#[derive(Debug, Args)]
pub(crate) struct LocalOptions {
    /// The .wasm file.
    pub(crate) file: PathBuf,
    /// What is said of it [default: stateflow.plugin.json beside it, if there is one].
    #[arg(long)]
    pub(crate) manifest: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RunPluginOptions {
    #[command(flatten)]
    pub(crate) plugin: LocalOptions,
    /// The step's config: JSON, a file, or - for standard input.
    #[arg(long, short)]
    pub(crate) input: Option<String>,
    /// Fuel, about one per instruction.
    #[arg(long)]
    pub(crate) fuel: Option<u64>,
    /// Linear memory in mebibytes.
    #[arg(long)]
    pub(crate) memory_mb: Option<u64>,
    /// Milliseconds.
    #[arg(long)]
    pub(crate) timeout_ms: Option<u64>,
    /// A rule of egress beside the manifest's, such as `http://127.0.0.1:8080`; may be repeated.
    #[arg(long, value_name = "RULE")]
    pub(crate) allow_host: Vec<String>,
    /// A secret for what the manifest asks for, sent only where requests may go; may be repeated.
    #[arg(long, value_name = "NAME=@FILE")]
    pub(crate) secret: Vec<String>,
    /// Call a plugin that suspends itself again at once, with what it has left, until it is done.
    #[arg(long)]
    pub(crate) resume: bool,
    /// The data of the event that it waits for: JSON, or @file; without it, the event does not come in time.
    #[arg(long, value_name = "JSON", requires = "resume")]
    pub(crate) event: Option<String>,
}

#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(crate) struct PushOptions {
    /// The .wasm file.
    pub(crate) file: PathBuf,
    /// team/name, for a module that carries no manifest.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A semantic version, for a module that carries no manifest.
    #[arg(long, id = "plugin_version", value_name = "VERSION", long = "version")]
    pub(crate) version: Option<String>,
    /// A JSON file with name, version, schemas and capabilities [default: stateflow.plugin.json beside the .wasm file].
    #[arg(long, conflicts_with_all = ["name", "plugin_version"])]
    pub(crate) manifest: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InspectOptions {
    /// A file, NAME or NAME@VERSION.
    pub(crate) plugin: String,
    /// What is said of a file [default: stateflow.plugin.json beside it, if there is one].
    #[arg(long)]
    pub(crate) manifest: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DecisionOptions {
    /// NAME@VERSION
    pub(crate) plugin: String,
    /// Who decides it.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: String,
    /// Why.
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveOptions {
    #[command(flatten)]
    pub(crate) decision: DecisionOptions,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct YankOptions {
    #[command(flatten)]
    pub(crate) decision: DecisionOptions,
    /// Bring a yanked version back.
    #[arg(long)]
    pub(crate) undo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffOptions {
    /// NAME OLD NEW, NAME@OLD NAME@NEW, or two files.
    #[arg(required = true, num_args = 2..=3, value_name = "PLUGIN")]
    pub(crate) plugins: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenOptions {
    /// The file for the secret key; it must not exist.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SignOptions {
    /// NAME@VERSION on the server, or a .wasm file.
    pub(crate) plugin: String,
    /// The file of the secret key.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// What the policy calls the key; not needed for a file.
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<String>,
    /// What is said of a file [default: stateflow.plugin.json beside it, if there is one].
    #[arg(long)]
    pub(crate) manifest: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CollectOptions {
    /// Who asks for it.
    #[arg(long, value_name = "WHO")]
    pub(crate) by: String,
    /// Only say what would go.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Versions that were yanked within this time stay [default: a week].
    #[arg(long)]
    pub(crate) yanked_for_ms: Option<i64>,
}
