//! One file per group of commands.

pub(crate) mod apply;
pub(crate) mod blobs;
pub(crate) mod bulk;
pub(crate) mod dead_letters;
mod diagnosis;
pub(crate) mod doctor;
pub(crate) mod executions;
pub(crate) mod explain;
pub(crate) mod messages;
pub(crate) mod migrate;
pub(crate) mod monitoring;
pub(crate) mod plugins;
pub(crate) mod policy;
pub(crate) mod profiles;
pub(crate) mod reset;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod shell;
pub(crate) mod validate;
pub(crate) mod workflows;
