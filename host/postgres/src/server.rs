//! A running server on a cluster: started or adopted, waited for, stopped.
//!
//! Killing the parent leaves the server running; whoever opens the directory next adopts it. The caller makes sure,
//! with a lock of its own, that only one process at a time opens a directory.

use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::account::Account;
use crate::binaries::Binaries;
use crate::cluster::Cluster;
use crate::postmaster::Postmaster;

/// How often the state of the server is looked at while something is awaited.
const POLL: Duration = Duration::from_millis(20);
/// Crash recovery after a kill can replay a lot of log.
const START_LIMIT: Duration = Duration::from_mins(2);
/// A fast shutdown writes a checkpoint.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Postgres itself kills what does not answer an immediate shutdown after five seconds.
const QUIT_LIMIT: Duration = Duration::from_secs(10);
/// A free port can be taken before the server binds it; a killed server's children hold its memory for a moment.
const START_TRIES: u32 = 5;

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Holds the data, the password and the log. Made when missing.
    pub directory: PathBuf,
    /// A free one when `None`.
    pub port: Option<u16>,
    /// False trades the survival of a power cut for speed. For tests only.
    pub durable: bool,
    /// False removes the directory with all data when the server is stopped.
    pub keep: bool,
    /// Upper bound of concurrent connections.
    pub max_connections: u32,
    /// More settings, each as `name=value`.
    pub settings: Vec<String>,
}

impl ServerOptions {
    /// A durable server on a free port for a hundred connections.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            port: None,
            durable: true,
            keep: true,
            max_connections: 100,
            settings: Vec::new(),
        }
    }
}

/// How a server is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// Ends the sessions and writes everything out.
    Fast,
    /// Like a crash: the next start recovers from the log.
    Immediate,
}

/// A running private server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    binaries: Binaries,
    options: ServerOptions,
    cluster: Cluster,
    port: u16,
    /// None when it was adopted, stopped or detached.
    child: Option<Child>,
    stops_on_drop: bool,
}

impl Server {
    /// Opens the cluster, or makes one, and returns when its server accepts connections. A server that already runs on
    /// the directory (its parent was killed) is adopted, or restarted if it listens on another port than the wanted.
    pub fn start(binaries: &Binaries, options: ServerOptions) -> Result<Self> {
        let cluster = Cluster::open(binaries, &options.directory, options.durable)?;
        let mut server = Self {
            binaries: binaries.clone(),
            options,
            cluster,
            port: 0,
            child: None,
            stops_on_drop: true,
        };
        if !server.adopt()? {
            server.launch()?;
        }
        Ok(server)
    }

    /// The server that runs on this directory, ready, without starting or ever stopping anything.
    pub fn attach(binaries: &Binaries, options: ServerOptions) -> Result<Option<Self>> {
        if Cluster::major(&options.directory)?.is_none() {
            return Ok(None);
        }
        let cluster = Cluster::open(binaries, &options.directory, options.durable)?;
        let running = Postmaster::on(&cluster.data()).filter(|found| found.ready);
        let Some(port) = running.and_then(|found| found.port).filter(|port| answers(*port)) else {
            return Ok(None);
        };
        let binaries = binaries.clone();
        Ok(Some(Self { binaries, options, cluster, port, child: None, stops_on_drop: false }))
    }

    /// The major version of the cluster in this directory, if there is one: only such binaries can serve it.
    pub fn major_in(directory: &Path) -> Result<Option<u32>> {
        Cluster::major(directory)
    }

    /// Where the files of a server with this directory really go.
    pub fn place(directory: &Path) -> Result<PathBuf> {
        Account::choose()?.place(directory)
    }

    /// Where to connect, password included.
    pub fn url(&self) -> String {
        self.cluster.url(self.port)
    }

    /// Where its files really are: not below the wanted directory if the server's account cannot go there.
    pub fn directory(&self) -> &Path {
        &self.cluster.directory
    }

    /// The server's process id, while it runs.
    pub fn pid(&self) -> Option<i32> {
        Postmaster::on(&self.cluster.data()).map(|found| found.pid.as_raw())
    }

    /// Stops it, waits for its end, and removes what is not to be kept.
    pub fn stop(mut self, mode: StopMode) -> Result<()> {
        self.stops_on_drop = false;
        self.end(mode)
    }

    /// Stops it in this way and starts it again on the same port.
    pub fn restart(&mut self, mode: StopMode) -> Result<()> {
        self.shut_down(mode)?;
        self.options.port = Some(self.port);
        self.launch()
    }

    /// Lets it run on after this process.
    pub fn detach(mut self) {
        self.stops_on_drop = false;
    }

    fn adopt(&mut self) -> Result<bool> {
        if Postmaster::on(&self.cluster.data()).is_none() {
            return Ok(false);
        }
        let port = self.await_ready()?;
        if self.options.port.is_some_and(|wanted| wanted != port) {
            self.shut_down(StopMode::Fast)?;
            return Ok(false);
        }
        tracing::info!(port, "adopted the private Postgres that was still running");
        self.port = port;
        Ok(true)
    }

    fn launch(&mut self) -> Result<()> {
        for remaining in (0..START_TRIES).rev() {
            let port = match self.options.port {
                Some(port) => port,
                None => free_port()?,
            };
            self.child = Some(self.spawn(port)?);
            match self.await_ready() {
                Ok(port) => {
                    self.port = port;
                    return Ok(());
                }
                Err(error) if remaining == 0 || !is_passing(&self.cluster.log_tail()) => {
                    return Err(error);
                }
                // Nothing announces that the port or the memory is free again.
                Err(_) => thread::sleep(POLL * 10),
            }
        }
        unreachable!("the last try returns")
    }

    fn spawn(&self, port: u16) -> Result<Child> {
        let path = self.cluster.log();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = self.cluster.account.command(&self.binaries.program("postgres"));
        command.current_dir(&self.cluster.directory).arg("-D").arg(self.cluster.data());
        for setting in self.settings(port) {
            command.arg("-c").arg(setting);
        }
        // Its own process group: Ctrl-C at the terminal is for the parent, which then stops the server in order.
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().context("cannot start postgres")
    }

    fn settings(&self, port: u16) -> Vec<String> {
        let mut settings = vec![
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            // A socket's path may have 107 bytes; project directories are often deeper.
            "unix_socket_directories=".to_owned(),
            format!("max_connections={}", self.options.max_connections),
            "logging_collector=off".to_owned(),
            "timezone=UTC".to_owned(),
        ];
        if !self.options.durable {
            settings.extend(
                ["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned),
            );
        }
        settings.extend(self.options.settings.iter().cloned());
        settings
    }

    /// Waits until the server accepts connections, and says on which port.
    fn await_ready(&mut self) -> Result<u16> {
        let started = Instant::now();
        let data = self.cluster.data();
        loop {
            if let Some(port) =
                Postmaster::on(&data).filter(|found| found.ready).and_then(|found| found.port)
                && answers(port)
            {
                return Ok(port);
            }
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!("postgres ended at once ({status}):\n{}", self.cluster.log_tail());
            }
            if started.elapsed() > START_LIMIT {
                bail!(
                    "postgres was not ready after {} s:\n{}",
                    START_LIMIT.as_secs(),
                    self.cluster.log_tail()
                );
            }
            thread::sleep(POLL);
        }
    }

    fn end(&mut self, mode: StopMode) -> Result<()> {
        self.shut_down(mode)?;
        if self.options.keep {
            return Ok(());
        }
        // Not the caller's part: only this server knows where the files really are.
        let directory = &self.cluster.directory;
        fs::remove_dir_all(directory)
            .with_context(|| format!("cannot remove {}", directory.display()))
    }

    fn shut_down(&mut self, mode: StopMode) -> Result<()> {
        let (signal, limit) = match mode {
            StopMode::Fast => (Signal::SIGINT, STOP_LIMIT),
            StopMode::Immediate => (Signal::SIGQUIT, QUIT_LIMIT),
        };
        self.signal(signal)?;
        if self.await_end(limit)? {
            return Ok(());
        }
        tracing::warn!("the private Postgres did not stop in time: ending it like a crash");
        self.signal(Signal::SIGQUIT)?;
        if self.await_end(QUIT_LIMIT)? {
            return Ok(());
        }
        bail!("postgres does not stop; see {}", self.cluster.log().display())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let target = match &self.child {
            // Not reaped yet, hence the id is still the server's, even before it wrote its pid file.
            Some(child) => Some(Postmaster {
                pid: Pid::from_raw(child.id().try_into().context("a process id is an i32")?),
                port: None,
                ready: false,
            }),
            None => Postmaster::on(&self.cluster.data()),
        };
        target.map_or(Ok(()), |found| found.signal(signal)).context("cannot signal postgres")
    }

    fn await_end(&mut self, limit: Duration) -> Result<bool> {
        let started = Instant::now();
        loop {
            let ended = match &mut self.child {
                Some(child) => child.try_wait()?.is_some(),
                None => Postmaster::on(&self.cluster.data()).is_none(),
            };
            if ended {
                self.child = None;
                return Ok(true);
            }
            if started.elapsed() > limit {
                return Ok(false);
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.stops_on_drop
            && let Err(error) = self.end(StopMode::Fast)
        {
            tracing::warn!(error = %format!("{error:#}"), "cannot stop the private Postgres");
        }
    }
}

fn answers(port: u16) -> bool {
    TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), Duration::from_secs(1)).is_ok()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Whether the log's end tells of a cause that goes away by itself.
fn is_passing(log_tail: &str) -> bool {
    ["Address already in use", "still in use"].iter().any(|cause| log_tail.contains(cause))
}

#[cfg(test)]
mod tests;
