//! What goes where: data to standard output, the rest to standard error. Colours are written everywhere, and taken out again
//! where nobody would see them.

mod confirmation;
mod progress;
mod screen;
mod style;
mod table;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use anstream::ColorChoice;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

pub(crate) use confirmation::confirm;
pub(crate) use progress::Progress;
pub(crate) use screen::Screen;
pub(crate) use style::{bad, bold, faint, good, of_status, warning};
pub(crate) use table::Table;

/// The command was called wrongly: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Where colours go, for this process. `auto`: to terminals, unless `NO_COLOR` is set.
pub(crate) fn colour(choice: clap::ColorChoice) {
    let choice = match choice {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    };
    choice.write_global();
}

/// Whether a person looks at the data.
pub(crate) fn is_seen() -> bool {
    io::stdout().is_terminal()
}

/// Prints a line of data.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints several lines of data.
pub(crate) fn lines(text: &str) -> anyhow::Result<()> {
    text.lines().try_for_each(line)
}

/// Prints a JSON document as data.
pub(crate) fn json(value: &Value) -> anyhow::Result<()> {
    line(format!("{value:#}"))
}

/// Prints a table as data; a sentence instead when it is empty.
pub(crate) fn table(headers: &[&str], rows: Vec<Vec<String>>, empty: &str) -> anyhow::Result<()> {
    if rows.is_empty() {
        note(empty);
        return Ok(());
    }
    lines(&Table::new(headers, rows).to_string())
}

/// Says something that is not data.
pub(crate) fn note(text: &str) {
    // Whoever was to read it may have gone; that is no reason to stop.
    drop(writeln!(anstream::stderr().lock(), "{text}"));
}

/// Says what failed.
pub(crate) fn complain(text: &str) {
    note(&format!("{} {text}", bad("error:")));
}

/// A text of somebody else's, on one line and without what would move a terminal's cursor.
pub(crate) fn tame(text: &str) -> String {
    let tamed = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(tamed).collect()
}

/// How many of something there are, in words.
pub(crate) fn count(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Whether the reader of our output has gone, for those who write rarely: a write would say so, but later or never.
pub(crate) fn nobody_reads() -> bool {
    let stdout = io::stdout();
    // Nothing is asked for; that the other side is closed is always said.
    let mut one = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut one, PollTimeout::ZERO).is_ok_and(|found| found > 0)
        && one[0].revents().is_some_and(|it| it.contains(PollFlags::POLLERR))
}

/// Whether the reader of our output went away, which is no failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(tame("a\r\nb\tc\u{1b}[2Jd"), "a  b c\u{fffd}[2Jd");
    }
}
