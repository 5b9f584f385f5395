//! A part of the terminal that is drawn over and over, in one write each, so that it does not flicker.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anstream::{AutoStream, ColorChoice};
use console::Term;

/// Where to draw.
pub(crate) struct Screen {
    terminal: Term,
    /// Lines that are drawn already.
    drawn: usize,
}

impl Screen {
    /// The terminal that data goes to; none if it goes elsewhere.
    pub(crate) fn open() -> Option<Self> {
        super::is_seen().then(|| Self { terminal: Term::stdout(), drawn: 0 })
    }

    /// Draws over what was drawn before.
    pub(crate) fn draw(&mut self, text: &str) -> anyhow::Result<()> {
        let (rows, columns) = self.terminal.size();
        let coloured = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        let plain = anstream::adapter::strip_str(text).to_string();
        let text = if coloured { text } else { &plain };
        let (frame, drawn) = frame(text, self.drawn, (rows.into(), columns.into()));
        let mut stdout = io::stdout().lock();
        stdout.write_all(frame.as_bytes())?;
        stdout.flush()?;
        self.drawn = drawn;
        Ok(())
    }
}

/// What moves the cursor up and writes the lines anew, and how many lines those are. A line more than fits would scroll, and
/// so would one that wraps.
fn frame(text: &str, drawn: usize, (rows, columns): (usize, usize)) -> (String, usize) {
    let mut frame = String::new();
    if drawn > 0 {
        // A terminal that has become smaller has fewer lines to go up.
        let _ = write!(frame, "\r\u{1b}[{}A", drawn.min(rows.saturating_sub(1)));
    }
    let mut lines = 0;
    for line in text.lines().take(rows.saturating_sub(1)) {
        let line = console::truncate_str(line, columns, "…");
        let _ = writeln!(frame, "{line}\u{1b}[0m\u{1b}[K");
        lines += 1;
    }
    frame.push_str("\u{1b}[J");
    (frame, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_over_the_one_before() {
        let (first, drawn) = frame("one\ntwo\n", 0, (24, 80));
        assert_eq!(
            (first.as_str(), drawn),
            ("one\u{1b}[0m\u{1b}[K\ntwo\u{1b}[0m\u{1b}[K\n\u{1b}[J", 2)
        );
        let (second, drawn) = frame("three\n", drawn, (24, 80));
        assert_eq!((second.as_str(), drawn), ("\r\u{1b}[2Athree\u{1b}[0m\u{1b}[K\n\u{1b}[J", 1));
    }

    #[test]
    fn a_frame_is_no_larger_than_the_terminal() {
        let text = "a long line\n".repeat(10);
        let (frame, drawn) = frame(&text, 0, (4, 6));
        assert_eq!(drawn, 3);
        assert!(frame.starts_with("a lon…"), "{frame:?}");
    }
}
