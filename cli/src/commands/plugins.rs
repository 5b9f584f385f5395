//! `plugin`: from a template to a version that workflows use. One file per command.

mod admitting;
mod approve;
mod build;
mod check;
mod collect;
mod diff;
mod inspect;
mod keys;
mod list;
mod local_blobs;
mod local_secrets;
mod manifest;
mod new;
mod push;
mod run;
mod templates;
mod yank;

use std::process::ExitCode;

use crate::arguments::PluginCommand;
use crate::client::Client;
use crate::output::Usage;

/// Does what was asked for.
pub(crate) async fn plugin(
    command: PluginCommand,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        PluginCommand::New(options) => new::new(&options),
        PluginCommand::Build(options) => build::build(&options),
        PluginCommand::Check(options) => check::check(&options, as_json).await,
        PluginCommand::Run(options) => run::run(options, as_json).await,
        PluginCommand::Inspect(options) => inspect::inspect(options, client).await,
        PluginCommand::Push(options) => push::push(options, client, as_json).await,
        PluginCommand::List => list::list(client, as_json).await,
        PluginCommand::Approve(options) => approve::approve(options, client, as_json).await,
        PluginCommand::Yank(options) => yank::yank(options, client, as_json).await,
        PluginCommand::Diff(options) => diff::diff(&options, client, as_json).await,
        PluginCommand::Keygen(options) => keys::keygen(&options, as_json),
        PluginCommand::Sign(options) => keys::sign(options, client, as_json).await,
        PluginCommand::Collect(options) => collect::collect(&options, client, as_json).await,
    }
}

/// NAME@VERSION in its two parts.
fn name_and_version(text: &str) -> Result<(&str, &str), Usage> {
    text.split_once('@')
        .filter(|(name, version)| engine::step_type::is_plugin_name(name) && !version.is_empty())
        .ok_or_else(|| Usage(format!("`{text}` is not NAME@VERSION, such as acme/charge@1.2.0")))
}

/// The path of one version in the API.
fn path_of(name: &str, version: &str) -> String {
    // Build metadata is the one part of a version with a character that means something else in a URL.
    format!("/api/plugins/{name}/{}", version.replace('+', "%2B"))
}
