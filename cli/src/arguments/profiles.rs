//! `stateflow profile`: servers by name.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Where they are, and when they count.
pub(crate) const PROFILES: &str = "\
Profiles are in $XDG_CONFIG_HOME/stateflow/config.toml or ~/.config/stateflow/config.toml. A command takes the server from \
--url or --profile, else from STATEFLOW_URL or STATEFLOW_PROFILE, else from the profile in use, else it is \
http://127.0.0.1:4000. A profile's token goes to the profile's server and to no other.";

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// List profiles; the one in use has a star.
    List,
    /// Add a profile, or replace the one of that name.
    Add(AddProfileOptions),
    /// Say which profile commands use that name no server; without a name, none.
    Use {
        /// The profile.
        name: Option<String>,
    },
    /// Remove a profile.
    Remove {
        /// The profile.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddProfileOptions {
    /// What it is called.
    pub(crate) name: String,
    /// The server.
    #[arg(id = "server", value_name = "URL")]
    pub(crate) server: String,
    /// A command that prints the token, such as `pass show stateflow`; a shell runs it.
    #[arg(long, value_name = "COMMAND", conflicts_with = "token_file")]
    pub(crate) token_command: Option<String>,
    /// A file with the token; nobody else may read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}
