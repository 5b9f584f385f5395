//! What the commands take that tell executions something.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct EventOptions {
    /// The event's name, such as order.paid.
    pub(crate) name: String,
    /// What it says: JSON, @FILE, or - for standard input.
    #[arg(long, default_value = "null")]
    pub(crate) data: String,
    /// Your own id of it: the same again is the same event.
    #[arg(long)]
    pub(crate) id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SignalOptions {
    /// The execution's id.
    pub(crate) execution: String,
    #[command(flatten)]
    pub(crate) event: EventOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ApprovalsOptions {
    #[command(subcommand)]
    pub(crate) command: Option<ApprovalsCommand>,
    /// Only what this person is asked.
    #[arg(long)]
    pub(crate) approver: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// Say yes, or no with --reject.
    Decide(DecideOptions),
}

#[derive(Debug, Args)]
pub(crate) struct DecideOptions {
    /// The id of the execution that asks.
    pub(crate) id: String,
    /// Who says it.
    #[arg(long)]
    pub(crate) by: String,
    /// No.
    #[arg(long)]
    pub(crate) reject: bool,
    /// What else there is to say.
    #[arg(long)]
    pub(crate) comment: Option<String>,
    /// What the form asks for: JSON, @FILE, or - for standard input.
    #[arg(long)]
    pub(crate) form: Option<String>,
}
