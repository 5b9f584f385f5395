//! Colours: few, and each with one meaning.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// As it should be.
pub(crate) fn good(text: impl Display) -> String {
    styled(AnsiColor::Green.on_default(), text)
}

/// Worth a look.
pub(crate) fn warning(text: impl Display) -> String {
    styled(AnsiColor::Yellow.on_default(), text)
}

/// As it should not be.
pub(crate) fn bad(text: impl Display) -> String {
    styled(AnsiColor::Red.on_default(), text)
}

/// What the eye should find first.
pub(crate) fn bold(text: impl Display) -> String {
    styled(Style::new().bold(), text)
}

/// What the eye may pass over.
pub(crate) fn faint(text: impl Display) -> String {
    styled(Style::new().dimmed(), text)
}

/// A status of an execution, a step, a plugin or a check, in the colour of what it means.
pub(crate) fn of_status(status: &str) -> String {
    match colour(status) {
        Some(colour) => styled(colour.on_default(), status),
        None => status.to_owned(),
    }
}

/// The colour of a status; none for those that are neither good nor bad.
pub(super) fn colour(status: &str) -> Option<AnsiColor> {
    match status {
        "succeeded" | "healthy" | "ready" | "done" => Some(AnsiColor::Green),
        "failed" | "unhealthy" | "stopped" | "yanked" => Some(AnsiColor::Red),
        "paused" | "cancelled" | "degraded" | "waiting" => Some(AnsiColor::Yellow),
        "running" | "pending" => Some(AnsiColor::Cyan),
        _ => None,
    }
}
