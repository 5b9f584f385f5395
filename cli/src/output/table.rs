//! Tables. On a terminal they are as wide as it is: long texts are cut, what somebody copies is not.

use std::fmt;

use anstyle::AnsiColor;
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Row};
use console::Term;

use super::style;

/// Columns whose texts are copied into the next command.
const WHOLE: [&str; 6] = ["ID", "EXECUTION", "NAME", "STATUS", "VERSION", "CODE"];
/// Columns that say what is wrong.
const FAULTS: [&str; 2] = ["ERROR", "CODE"];
/// Below that, columns would be a letter wide: a terminal that narrow wraps lines by itself.
const NARROWEST: u16 = 60;

/// What ends a colour.
const RESET: &str = "\u{1b}[0m";

/// A table that is ready to be shown.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// A table as wide as the terminal, if there is one.
    pub(crate) fn new(headers: &[&str], rows: Vec<Vec<String>>) -> Self {
        let width = Term::stdout().size_checked().map(|(_, columns)| columns.max(NARROWEST));
        Self::fitting(headers, rows, width)
    }

    fn fitting(headers: &[&str], rows: Vec<Vec<String>>, width: Option<u16>) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(NOTHING);
        // Those who print it take the colours out where they do not belong.
        table.enforce_styling();
        table.set_header(headers.iter().map(|it| Cell::new(it).add_attribute(Attribute::Bold)));
        for row in rows {
            let cells = headers.iter().zip(row).map(|(header, text)| cell(header, &text));
            let mut row = Row::from(cells.collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        table.set_truncation_indicator("…");
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            for (column, header) in table.column_iter_mut().zip(headers) {
                if WHOLE.contains(header) {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        Self(table)
    }
}

fn cell(header: &str, text: &str) -> Cell {
    let cell = Cell::new(super::tame(text));
    let colour = match header {
        "STATUS" => style::colour(text),
        header if FAULTS.contains(&header) => Some(AnsiColor::Red),
        _ => None,
    };
    match colour {
        Some(AnsiColor::Green) => cell.fg(Color::Green),
        Some(AnsiColor::Red) => cell.fg(Color::Red),
        Some(AnsiColor::Yellow) => cell.fg(Color::Yellow),
        Some(AnsiColor::Cyan) => cell.fg(Color::Cyan),
        _ => cell,
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.lines() {
            // Of a heading, the blanks are bold too.
            match line.strip_suffix(RESET) {
                Some(line) => writeln!(f, "{}{RESET}", line.trim_end())?,
                None => writeln!(f, "{}", line.trim_end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;

    const ID: &str = "01a2201d-36bd-764f-91e7-740b57ff6d62";

    fn shown(message: &str, width: Option<u16>) -> Vec<String> {
        let rows = vec![vec![ID.to_owned(), "failed".to_owned(), message.to_owned()]];
        let table = Table::fitting(&["ID", "STATUS", "MESSAGE"], rows, width);
        strip_str(&table.to_string()).to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_table_fits_the_terminal_and_cuts_no_id() {
        let message = "nobody listens at http://127.0.0.1:1/ and that is not going to change";
        let lines = shown(message, Some(80));
        assert_eq!(lines.len(), 2, "one line for a row: {lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(lines[1].contains(ID) && lines[1].ends_with('…'), "{lines:?}");
    }

    #[test]
    fn where_nobody_looks_nothing_is_cut() {
        let message = "many words ".repeat(40);
        assert!(shown(&message, None)[1].contains(message.trim()));
    }

    #[test]
    fn a_cell_is_on_one_line() {
        assert!(shown("two\nlines", None)[1].ends_with("two lines"));
    }

    #[test]
    fn a_status_has_its_colour() {
        let table = Table::fitting(&["STATUS"], vec![vec!["failed".to_owned()]], None);
        assert!(table.to_string().contains("\u{1b}[38;5;9mfailed"), "{:?}", table.to_string());
    }
}
