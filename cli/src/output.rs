//! What goes where: data to standard output, the rest to standard error.

use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

/// The command was called wrongly: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Prints a line of data.
pub(crate) fn line(text: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
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
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(headers.iter().copied());
    table.add_rows(rows);
    let text = table.to_string();
    for row in text.lines() {
        line(row.trim_end())?;
    }
    Ok(())
}

/// Says something that is not data.
pub(crate) fn note(text: &str) {
    // Whoever was to read it may have gone; that is no reason to stop.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Says what failed.
pub(crate) fn complain(text: &str) {
    note(&format!("error: {text}"));
}

/// Whether the reader of our output went away, which is no failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
