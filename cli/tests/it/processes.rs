//! Worker and server processes that a test starts, stops, pauses and kills.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The services that steps call are on this machine.
const ALLOW_LOOPBACK: [&str; 2] = ["--egress-allow-cidr", "127.0.0.0/8,::1/128"];

/// A `stateflow worker`; killed with its handle.
pub(crate) struct WorkerProcess(Child);

impl WorkerProcess {
    /// Starts one with leases of three seconds, for tests in which leases lapse.
    pub(crate) fn start(database_url: &str, data: &Path) -> Self {
        Self::with_lease(database_url, data, "3000")
    }

    /// Starts one with the leases that users have.
    pub(crate) fn with_usual_lease(database_url: &str, data: &Path) -> Self {
        Self::with_lease(database_url, data, "15000")
    }

    /// Starts one whose leases lapse soon after it is gone.
    pub(crate) fn with_short_lease(database_url: &str, data: &Path) -> Self {
        Self::with_lease(database_url, data, "1000")
    }

    fn with_lease(database_url: &str, data: &Path, lease_ms: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_stateflow"))
            .args(["worker", "--lease-ms", lease_ms, "--concurrency", "20", "--connections", "6"])
            .args(ALLOW_LOOPBACK)
            .env("DATABASE_URL", database_url)
            .env("STATEFLOW_DATA_DIR", data)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Kills it without a chance to say goodbye.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(self) {
        self.signal(Signal::SIGTERM);
        self.await_end();
    }

    /// Waits for its end, which has to be a good one.
    pub(crate) fn await_end(mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // A worker that was stopped or killed is gone already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A `stateflow serve`: API and worker in one process; killed with its handle.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) url: String,
}

impl ServerProcess {
    /// Starts one, and returns when it listens.
    pub(crate) fn start(database_url: &str, data: &Path) -> Self {
        Self::with(database_url, data, &[])
    }

    /// Starts one with more in its environment.
    pub(crate) fn with(database_url: &str, data: &Path, environment: &[(&str, &Path)]) -> Self {
        let mut command = Self::command(database_url, data);
        let mut child = command.envs(environment.iter().copied()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = url_of(&mut lines);
        // What nobody reads would stop it.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, url }
    }

    /// Starts one whose log has no reader once it listens: every line of it fails.
    pub(crate) fn with_unread_log(database_url: &str, data: &Path) -> Self {
        let mut child = Self::command(database_url, data).spawn().unwrap();
        let url = url_of(&mut BufReader::new(child.stderr.take().unwrap()).lines());
        Self { child, url }
    }

    fn command(database_url: &str, data: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stateflow"));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(ALLOW_LOOPBACK)
            .env("DATABASE_URL", database_url)
            .env("STATEFLOW_DATA_DIR", data)
            .env("RUST_LOG", "warn,stateflow=info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// The most memory that it has had, in bytes (`VmHWM` of proc(5)).
    pub(crate) fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// What a server says once it listens.
fn url_of(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> String {
    lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("serving ").map(|(_, url)| url.trim().to_owned()))
        .expect("it serves")
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
