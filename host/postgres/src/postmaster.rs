//! What runs on a data directory, as its `postmaster.pid` and the process table tell.
//!
//! The file alone proves nothing: it outlives a crash, and its process id may be somebody else's by now. Nothing is
//! signalled before its command line names the data directory.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Lines of `postmaster.pid`, from 0 (source: `src/include/utils/pidfile.h`).
const LINE_PID: usize = 0;
const LINE_PORT: usize = 3;
const LINE_STATUS: usize = 7;

/// A live server process on a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Postmaster {
    pub(crate) pid: Pid,
    /// Written a moment after the process id.
    pub(crate) port: Option<u16>,
    /// Whether it accepts connections.
    pub(crate) ready: bool,
}

impl Postmaster {
    /// The live server on this data directory, if there is one.
    pub(crate) fn on(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let found = Self::parse(&text)?;
        serves(found.pid, data).then_some(found)
    }

    /// Sends it a signal; one that has just ended is fine.
    pub(crate) fn signal(self, signal: Signal) -> nix::Result<()> {
        match kill(self.pid, signal) {
            Err(Errno::ESRCH) => Ok(()),
            other => other,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        // A standalone backend writes a negative process id.
        let pid: i32 = lines.get(LINE_PID)?.parse().ok().filter(|pid| *pid > 1)?;
        Some(Self {
            pid: Pid::from_raw(pid),
            port: lines.get(LINE_PORT).and_then(|port| port.parse().ok()),
            ready: lines.get(LINE_STATUS).is_some_and(|status| *status == "ready"),
        })
    }
}

/// Whether the process was started with `-D data`. A zombie has no command line and hence serves nothing.
fn serves(pid: Pid, data: &Path) -> bool {
    let data = data.to_string_lossy();
    if cfg!(target_os = "linux") {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        return words.windows(2).any(|pair| pair[0] == b"-D" && pair[1] == data.as_bytes());
    }
    let output = std::process::Command::new("ps")
        .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
        .output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&output.stdout).contains(&format!("-D {data} "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "4711\n/srv/data\n1700000000\n5433\n\n127.0.0.1\n  123 45\nready   \n";

    #[test]
    fn a_complete_pid_file_tells_process_port_and_readiness() {
        let found = Postmaster::parse(FILE).unwrap();
        assert_eq!(found, Postmaster { pid: Pid::from_raw(4711), port: Some(5433), ready: true });
    }

    #[test]
    fn a_pid_file_that_is_still_being_written_is_not_ready() {
        let found = Postmaster::parse("4711\n/srv/data\n").unwrap();
        assert_eq!((found.port, found.ready), (None, false));
        assert_eq!(Postmaster::parse(""), None);
        assert_eq!(Postmaster::parse("-4711\n"), None);
    }

    #[test]
    fn a_process_that_merely_got_the_same_id_is_not_taken_for_the_server() {
        let data = tempfile::tempdir().unwrap();
        let own = std::process::id();
        fs::write(data.path().join("postmaster.pid"), FILE.replace("4711", &own.to_string()))
            .unwrap();
        assert_eq!(Postmaster::on(data.path()), None);
    }
}
