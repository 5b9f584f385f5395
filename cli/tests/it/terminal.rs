//! A terminal with a command in it: what somebody types, and what they see on its screen.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};
use vt100::Parser;

const ROWS: u16 = 24;

/// See the module.
pub(crate) struct Terminal {
    child: Child,
    master: File,
    written: Vec<u8>,
    screen: Parser,
}

/// What a command has left behind.
pub(crate) struct Left {
    pub(crate) code: Option<i32>,
    /// All that was ever written to the terminal.
    pub(crate) written: String,
    /// What is on the screen at the end.
    pub(crate) screen: String,
}

impl Terminal {
    /// Runs a command in a terminal of so many columns.
    pub(crate) fn run(mut command: Command, columns: u16) -> Self {
        let size = Winsize { ws_row: ROWS, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(Some(&size), None).unwrap();
        let ours = |it: &OwnedFd| Stdio::from(it.try_clone().unwrap());
        command.stdin(ours(&terminal.slave)).stdout(ours(&terminal.slave));
        let child = command.stderr(ours(&terminal.slave)).spawn().unwrap();
        // The command alone has the other side now: it ends with it.
        drop((command, terminal.slave));
        let cells = |count| NonZero::new(count).unwrap();
        let screen = Parser::new(cells(ROWS), cells(columns), 0);
        Self { child, master: File::from(terminal.master), written: Vec::new(), screen }
    }

    /// Takes in what is written next; false once nobody has the terminal any more, which Linux says with an error.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let read = self.master.read(&mut buffer).unwrap_or(0);
        self.written.extend_from_slice(&buffer[..read]);
        self.screen.process(&buffer[..read]);
        read > 0
    }

    /// What is on the screen, without blanks at the ends of lines.
    pub(crate) fn screen(&self) -> String {
        let contents = self.screen.screen().contents();
        contents.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Waits until the screen is one that is wanted.
    pub(crate) fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(self.read(), "it ended before that was to be seen: {screen}");
        }
    }

    /// Somebody types this.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Left {
        while self.read() {}
        let code = self.child.wait().unwrap().code();
        let written = String::from_utf8(std::mem::take(&mut self.written)).unwrap();
        Left { code, written, screen: self.screen() }
    }
}
