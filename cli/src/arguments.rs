//! The command line, as clap reads it.

mod blobs;
mod dead_letters;
mod definitions;
mod executions;
#[cfg(test)]
mod help;
mod messages;
mod monitoring;
mod plugins;
mod profiles;
#[cfg(test)]
mod reference;
mod retention;
mod secrets;
mod server;

use std::path::PathBuf;

use clap::{Args, ColorChoice, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use blobs::BlobCommand;
pub(crate) use dead_letters::*;
pub(crate) use definitions::*;
pub(crate) use executions::*;
pub(crate) use messages::*;
pub(crate) use monitoring::*;
pub(crate) use plugins::*;
pub(crate) use profiles::*;
pub(crate) use secrets::{SecretsCommand, SecretsKeyOptions, SetSecretOptions};
pub(crate) use server::*;

/// What every command takes that talks to a server.
const CLIENT: &str = "Client options";

/// Runs multi-step workflows that are written as JSON.
#[derive(Debug, Parser)]
#[command(name = "stateflow", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// The server that client commands talk to [default: the profile's, or else that of `stateflow dev`].
    #[arg(long, global = true, help_heading = CLIENT, env = "STATEFLOW_URL")]
    pub(crate) url: Option<String>,
    /// The token that client commands show.
    #[arg(long, global = true, help_heading = CLIENT, env = "STATEFLOW_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// A server that `stateflow profile add` gave a name.
    #[arg(long, global = true, help_heading = CLIENT, value_name = "NAME", env = "STATEFLOW_PROFILE")]
    pub(crate) profile: Option<String>,
    /// Print JSON, with exact times.
    #[arg(long, global = true, help_heading = CLIENT)]
    pub(crate) json: bool,
    /// Where colours are shown; auto: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, help_heading = CLIENT, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub(crate) color: ColorChoice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: a private Postgres, the API and a worker.
    Dev(DevOptions),
    /// Run the API, and a worker unless told otherwise.
    Serve(ServeOptions),
    /// Run a worker.
    Worker(WorkerOptions),
    /// Bring the database's schema to this build's version, or back, or show where it is.
    Migrate(MigrateOptions),
    /// Look for what is wrong with this machine, the database and the server.
    Doctor(DoctorOptions),
    /// Check workflow definitions (.json) and plugins (.wasm), offline.
    Validate(ValidateOptions),
    /// List workflows; or publish, show and compare them, and say which version is live.
    Workflows(WorkflowsOptions),
    /// Publish what differs between a directory of definitions and the server, after showing it.
    Apply(ApplyOptions),
    /// Start an execution.
    Run(RunOptions),
    /// List executions, newest first.
    List(ListOptions),
    /// Show an execution with its timeline.
    Status(StatusOptions),
    /// List what an execution has begun: branches, items of a map, other workflows.
    Children(ChildrenOptions),
    /// Cancel an execution.
    Cancel(ReasonOptions),
    /// Let an execution rest; an attempt under way is left to end.
    Pause(ReasonOptions),
    /// Let a paused execution go on.
    Resume(ExecutionOptions),
    /// Run a failed or cancelled execution again, from the start.
    Retry(ExecutionOptions),
    /// Let a failed or cancelled execution go on at a step, with the outputs that it has.
    RetryStep(RetryStepOptions),
    /// Start a new execution in the middle, with the outputs that another had by then.
    Fork(ForkOptions),
    /// Send an event, to whoever waits for it and to the workflows that it starts.
    Event(EventOptions),
    /// Send a signal to one execution.
    Signal(SignalOptions),
    /// List what people are asked; or answer: `approvals decide ID --by NAME`.
    Approvals(ApprovalsOptions),
    /// Do something to many executions: by ids, or by what narrows a list.
    Bulk(BulkOptions),
    /// Let executions under way go on by another version of their workflow, where that is provably safe.
    MigrateExecutions(MigrateExecutionsOptions),
    /// List dead letters, show them, run them again, or take them off the list.
    #[command(name = "dlq")]
    DeadLetters {
        #[command(subcommand)]
        command: DeadLetterCommand,
    },
    /// List what has failed lately, with what it said.
    Failed(FailedOptions),
    /// Show failures by kind, the most frequent first.
    Incidents(IncidentsOptions),
    /// Print an execution's log.
    Logs(LogsOptions),
    /// Say why an execution is not moving.
    Why(ExecutionOptions),
    /// Say what an error code means and what to do; without a code, list them all. Needs no server.
    Explain(ExplainOptions),
    /// Say how the system is, check by check; fails if it does not work.
    Health(HealthOptions),
    /// Show the system in numbers.
    Metrics,
    /// Write all metrics as JSON, or for Prometheus.
    Export(ExportOptions),
    /// List workers.
    Workers,
    /// Cancel what is under way and purge the dead letters of a server for trying things out.
    Reset(ResetOptions),
    /// Set, list and delete what steps may send and nobody may see.
    Secrets {
        #[command(subcommand)]
        command: SecretsCommand,
    },
    /// Keep payloads that are too large for JSON, and fetch them.
    Blob {
        #[command(subcommand)]
        command: BlobCommand,
    },
    /// Write, check and run plugins here; upload them and decide about them.
    Plugin {
        #[command(subcommand)]
        command: Box<PluginCommand>,
    },
    /// Show what the namespace is allowed, or replace it.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Show who decided what, newest first.
    Audit {
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// List servers by name, add some, and say which one is used.
    #[command(after_help = PROFILES)]
    Profile {
        #[command(subcommand)]
        command: ProfileCommand,
    },
    /// Print what makes a shell complete commands: `source <(stateflow completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write manual pages.
    Man {
        /// Where they go.
        #[arg(long)]
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ValidateOptions {
    /// Definitions (.json) and plugins (.wasm).
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WorkflowsOptions {
    #[command(subcommand)]
    pub(crate) command: Option<WorkflowsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowsCommand {
    /// List workflows by name, as `workflows` alone does.
    List(ListWorkflowsOptions),
    /// Publish definitions: a new workflow, or a new version of one that exists.
    Push {
        /// Definitions (.json).
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Say which version new executions run; without any, the newest.
    Live {
        /// Id or name.
        workflow: String,
        /// The version.
        #[arg(id = "live_version", value_name = "VERSION")]
        version: Option<i32>,
        /// Another version for a part of the executions.
        #[arg(long, requires = "percent")]
        ramp: Option<i32>,
        /// How large that part is: 0 to 100.
        #[arg(long, requires = "ramp")]
        percent: Option<i32>,
    },
    /// Show how two versions differ.
    Diff {
        /// Id or name.
        workflow: String,
        /// The old version.
        from: i32,
        /// The new version.
        to: i32,
    },
    /// Show the newest version of a workflow, or another.
    Show(ShowWorkflowOptions),
    /// Write definitions as files that `import` and `apply` read.
    Export(ExportWorkflowsOptions),
    /// Publish definitions that differ from the newest on the server: all of them, or none if one is not valid.
    Import(ImportWorkflowsOptions),
    /// Archive workflows: nothing starts them any more, and their names are free. What is under way goes on.
    Archive(ArchiveWorkflowsOptions),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    /// The file that operators begin with.
    const ENVIRONMENT: &str = include_str!("../../deploy/stateflow.env.example");

    fn variables(command: &clap::Command) -> BTreeSet<String> {
        let own = command.get_arguments().filter_map(clap::Arg::get_env);
        let own = own.map(|name| name.to_string_lossy().into_owned());
        own.chain(command.get_subcommands().flat_map(variables)).collect()
    }

    #[test]
    fn the_example_of_an_environment_has_every_variable_and_no_other() {
        let mut taken = variables(&Arguments::command());
        // Read by libraries, and by no argument.
        taken.extend(["RUST_LOG", "OTEL_EXPORTER_OTLP_HEADERS"].map(str::to_owned));
        let named: Vec<_> = ENVIRONMENT
            .lines()
            .filter_map(|line| line.trim_start_matches('#').split_once('='))
            .map(|(name, _)| name.to_owned())
            .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
            .collect();
        let unique: BTreeSet<_> = named.iter().cloned().collect();
        assert_eq!(unique.len(), named.len(), "one is there twice: {named:?}");
        assert_eq!(unique, taken, "left: deploy/stateflow.env.example, right: the binary");
    }

    /// In a release the mistakes that this finds are strange behaviour, otherwise a panic of the command at fault.
    #[test]
    fn all_commands_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn labels_are_written_the_same_way_everywhere() {
        for written in ["team=billing", "team:billing"] {
            let arguments =
                Arguments::try_parse_from(["stateflow", "list", "--label", written]).unwrap();
            let Command::List(options) = arguments.command else { panic!("not a list") };
            let given: Vec<_> = options.filter.given().collect();
            assert_eq!(given, [("label", "team:billing".to_owned())]);
        }
    }

    #[test]
    fn a_text_is_looked_for_by_lists_and_by_actions_on_many() {
        let of = |written: &[&str]| Arguments::try_parse_from(written).unwrap().command;
        let Command::List(list) = of(&["stateflow", "list", "--q", "A7"]) else {
            panic!("no list")
        };
        let bulk = of(&["stateflow", "bulk", "cancel", "--q", "A7"]);
        let Command::Bulk(bulk) = bulk else { panic!("no action") };
        let filters = [list.filter, bulk.filter];
        for filter in filters {
            assert_eq!(filter.given().collect::<Vec<_>>(), [("q", "A7".to_owned())]);
        }
    }
}
