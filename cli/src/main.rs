//! The binary: parses the command line, runs one command, and turns what it says into an exit code:
//! 0 it worked, 1 it failed, 2 it was called wrongly.

mod arguments;
mod commands;

mod client;
mod compose;
mod configuration;
mod connection;
mod dev_postgres;
mod events;
mod fault;
mod moment;
mod output;
mod plain_text;
mod plugin_build;
mod profiles;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::{Arguments, Command};
use connection::Given;

fn main() -> ExitCode {
    // Before anything else is started: the compiler's process gives up what others need.
    if let Some(instructions) = compiler_instructions() {
        return sandbox::serve_compiler(&instructions);
    }
    let matches = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    output::colour(arguments.color);
    let given = Given::new(&arguments, &matches);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let outcome = runtime.block_on(run(arguments, &given));
        // Whatever still blocks a thread here has nothing left to do for anyone.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("{error:#}"));
            ExitCode::from(
                u8::from(!error.is::<output::Usage>()) + 2 * u8::from(error.is::<output::Usage>()),
            )
        }
    }
}

/// This process is the compiler of another one, and these are its instructions.
fn compiler_instructions() -> Option<String> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == configuration::COMPILE_COMMAND)
        .then(|| arguments.next().unwrap_or_default())
}

async fn run(arguments: Arguments, given: &Given) -> anyhow::Result<ExitCode> {
    use commands::{
        apply, blobs, bulk, executions, messages, monitoring, plugins, policy, profiles, secrets,
        server, shell, validate, workflows,
    };
    let json = arguments.json;
    // Only for commands that talk to a server: it may run a command for a token.
    let client = || given.connect();
    match arguments.command {
        Command::Dev(options) => server::dev(options).await,
        Command::Serve(options) => server::serve(options).await,
        Command::Worker(options) => server::worker(options).await,
        Command::Migrate(options) => commands::migrate::migrate(options, json).await,
        Command::Doctor(options) => commands::doctor::doctor(options, &client()?, json).await,
        Command::Validate(options) => validate::validate(&options, json).await,
        Command::Workflows(options) => workflows::workflows(options, &client()?, json).await,
        Command::Run(options) => executions::run(options, &client()?, json).await,
        Command::List(options) => executions::list(options, &client()?, json).await,
        Command::Status(options) => executions::status(options, &client()?, json).await,
        Command::Cancel(options) => executions::cancel(options, &client()?, json).await,
        Command::Pause(options) => executions::pause(options, &client()?, json).await,
        Command::Resume(options) => executions::resume(options, &client()?, json).await,
        Command::RetryStep(options) => executions::retry_step(options, &client()?, json).await,
        Command::Fork(options) => executions::fork(options, &client()?, json).await,
        Command::Retry(options) => executions::retry(options, &client()?, json).await,
        Command::Logs(options) => executions::logs(options, &client()?, json).await,
        Command::Event(options) => messages::event(options, &client()?, json).await,
        Command::Signal(options) => messages::signal(options, &client()?, json).await,
        Command::Approvals(options) => messages::approvals(options, &client()?, json).await,
        Command::Bulk(options) => bulk::bulk(options, &client()?, json).await,
        Command::Incidents(options) => bulk::incidents(options, &client()?, json).await,
        Command::MigrateExecutions(options) => {
            workflows::migrate_executions(options, &client()?, json).await
        }
        Command::Children(options) => executions::children(options, &client()?, json).await,
        Command::Why(options) => executions::why(options, &client()?, json).await,
        Command::Explain(options) => commands::explain::explain(&options, json),
        Command::Health(options) => monitoring::health(&options, &client()?, json).await,
        Command::Metrics => monitoring::metrics(&client()?, json).await,
        Command::Export(options) => monitoring::export(&options, &client()?).await,
        Command::Workers => monitoring::workers(&client()?, json).await,
        Command::Reset(options) => commands::reset::reset(&options, &client()?, json).await,
        Command::DeadLetters { command } => {
            commands::dead_letters::dead_letters(command, &client()?, json).await
        }
        Command::Failed(options) => executions::failed(options, &client()?, json).await,
        Command::Apply(options) => apply::apply(&options, &client()?, json).await,
        Command::Profile { command } => profiles::profile(command, json),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { dir } => shell::man(&dir),
        Command::Secrets { command } => secrets::secrets(command, &client()?, json).await,
        Command::Blob { command } => blobs::blob(command, &client()?, json).await,
        Command::Plugin { command } => plugins::plugin(*command, &client()?, json).await,
        Command::Policy { command } => policy::policy(command, &client()?, json).await,
        Command::Audit { limit } => policy::audit(limit, &client()?, json).await,
    }
}
