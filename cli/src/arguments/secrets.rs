//! `stateflow secrets`. A value is not among the arguments: other users of the machine could see it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// List names and destinations; nobody gets a value back.
    List,
    /// Set a secret, from standard input: `stateflow secrets set stripe-key --destination https://api.stripe.com < FILE`.
    Set(SetSecretOptions),
    /// Delete a secret; executions that use it fail from now on.
    Delete {
        /// Its name.
        name: String,
        /// Who does it, for the audit.
        #[arg(long, default_value = "api")]
        by: String,
    },
    /// Seal all secrets anew with the first of the operator's keys.
    Rotate {
        /// Who does it, for the audit.
        #[arg(long, default_value = "api")]
        by: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SetSecretOptions {
    /// Its name: a letter, then letters, digits, `_`, `-` and `.`.
    pub(crate) name: String,
    /// Where it may be sent, such as `POST https://api.example.com/v1`; may be repeated.
    #[arg(long, value_name = "RULE")]
    pub(crate) destination: Vec<String>,
    /// Who does it, for the audit.
    #[arg(long, default_value = "api")]
    pub(crate) by: String,
}

/// Where the operator's keys come from.
#[derive(Clone, Debug, Args)]
pub(crate) struct SecretsKeyOptions {
    /// Keys for secrets, comma-separated, each the base64 of 32 bytes: the first one seals, all of them open.
    #[arg(long, hide = true, env = "STATEFLOW_SECRETS_KEY", hide_env_values = true)]
    pub(crate) secrets_key: Option<String>,
    /// A file with the keys for secrets, one a line; or set `STATEFLOW_SECRETS_KEY`.
    #[arg(long, value_name = "FILE", env = "STATEFLOW_SECRETS_KEY_FILE")]
    pub(crate) secrets_key_file: Option<PathBuf>,
}
