//! StateFlow's own processes: the release binary, started as an operator would.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::machine;

/// How long a process may take to say that it is up.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running `stateflow` process.
pub(crate) struct Process {
    child: Child,
    pid: i32,
}

/// An API server and its address.
pub(crate) struct Api {
    pub(crate) process: Process,
    /// `host:port`.
    pub(crate) host: String,
    /// From the start of the process to its first line, in milliseconds.
    pub(crate) start_ms: f64,
}

/// Starts processes on one database.
pub(crate) struct Launcher<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) database_url: &'a str,
    pub(crate) data_dir: &'a Path,
    /// Passed to every process: settings under test.
    pub(crate) arguments: &'a [String],
}

impl Launcher<'_> {
    /// Creates the schema.
    pub(crate) async fn migrate(&self) -> Result<()> {
        let status = self.command("migrate", &[]).stderr(Stdio::null()).status().await?;
        if !status.success() {
            bail!("`stateflow migrate` failed: {status}");
        }
        Ok(())
    }

    /// An API server, with a worker in the same process or without.
    pub(crate) async fn serve(&self, worker: bool) -> Result<Api> {
        let started = Instant::now();
        let mut arguments = vec!["--listen", "127.0.0.1:0"];
        if !worker {
            arguments.push("--no-worker");
        }
        let (process, line) = self.spawn("serve", &arguments, "serving http://", |_| ()).await?;
        let host = line.split("http://").nth(1).context("no address")?.trim().to_owned();
        Ok(Api { process, host, start_ms: started.elapsed().as_secs_f64() * 1_000.0 })
    }

    /// A worker, registered.
    pub(crate) async fn worker(&self) -> Result<Process> {
        self.watched_worker(|_| ()).await
    }

    /// A worker whose log is looked at, line by line.
    pub(crate) async fn watched_worker(
        &self,
        each: impl FnMut(&str) + Send + 'static,
    ) -> Result<Process> {
        Ok(self.spawn("worker", &[], "worker registered", each).await?.0)
    }

    async fn spawn(
        &self,
        role: &str,
        more: &[&str],
        ready: &str,
        mut each: impl FnMut(&str) + Send + 'static,
    ) -> Result<(Process, String)> {
        let mut command = self.command(role, more);
        command.args(self.arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().context("cannot start stateflow")?;
        let pid = i32::try_from(child.id().context("it ended at once")?)?;
        let stderr = child.stderr.take().context("stderr was asked for as a pipe")?;
        let mut lines = BufReader::new(stderr).lines();
        let line = tokio::time::timeout(START_LIMIT, find(&mut lines, ready))
            .await
            .with_context(|| format!("`stateflow {role}` did not say `{ready}`"))??;
        // Reading on keeps the pipe from filling up.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                each(&line);
            }
        });
        Ok((Process { child, pid }, line))
    }

    fn command(&self, role: &str, more: &[&str]) -> Command {
        let mut command = Command::new(self.binary);
        command.arg(role).args(more).env("DATABASE_URL", self.database_url);
        // All the load comes from one address. Not an option: builds from before there was a limit do not know it.
        command.env("STATEFLOW_RATE_LIMIT", "0");
        if role != "migrate" {
            command.arg("--data-dir").arg(self.data_dir);
            // The service that steps call is on this machine.
            command.args(["--egress-allow-cidr", "127.0.0.0/8"]);
        }
        command.kill_on_drop(true);
        command
    }
}

async fn find(lines: &mut Lines<BufReader<ChildStderr>>, wanted: &str) -> Result<String> {
    let mut before = String::new();
    while let Some(line) = lines.next_line().await? {
        if line.contains(wanted) {
            return Ok(line);
        }
        before = format!("{before}{line}\n");
    }
    bail!("it ended:\n{before}")
}

impl Process {
    /// CPU seconds so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        machine::cpu_seconds(self.pid)
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The most memory that it has had.
    pub(crate) fn peak_bytes(&self) -> u64 {
        machine::peak_bytes(self.pid)
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.pid), Signal::SIGTERM)?;
        self.child.wait().await?;
        Ok(())
    }

    /// Ends it like a crash.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}
