//! The server that all test processes of this user share.
//!
//! Each process is a *holder*: it leaves a file named by its process id. The first one starts the server and a
//! watcher script, which stops the server when no holder has been alive for a while. See `watcher.sh` for how a
//! newcomer and a watcher that is about to stop avoid each other.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::Uid;
use postgres::{Binaries, Server, ServerOptions};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// Tests of many processes run at once, each with a pool of its own.
const MAX_CONNECTIONS: u32 = 500;

static SERVER: OnceCell<TestServer> = OnceCell::const_new();

/// The shared server.
#[derive(Debug)]
pub struct TestServer {
    url: String,
}

impl TestServer {
    /// Where to connect, as a superuser.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The server that all tests share, started if it does not run. It is fast and not durable.
pub async fn postgres() -> &'static TestServer {
    SERVER
        .get_or_init(|| async {
            tokio::task::spawn_blocking(join)
                .await
                .expect("the joining thread does not panic")
                .expect("the tests' Postgres starts; `make setup` installs what it needs")
        })
        .await
}

fn join() -> Result<TestServer> {
    let home = std::env::temp_dir().join(format!("stateflow-test-pg-{}", Uid::current()));
    // Beside the directory and never removed: a lock on a file that somebody removes excludes nobody.
    let lock_path = home.with_extension("lock");
    let lock = File::create(&lock_path)
        .with_context(|| format!("cannot write {}", lock_path.display()))?;
    // A watcher that is stopping the server has it until there is none any more.
    lock.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;
    become_holder(&home)?;

    let binaries = Binaries::find(None).context("no Postgres server is installed")?;
    let options = ServerOptions {
        durable: false,
        max_connections: MAX_CONNECTIONS,
        ..ServerOptions::new(home.join("cluster"))
    };
    if let Ok(Some(running)) = Server::attach(&binaries, options.clone()) {
        return Ok(TestServer { url: running.url() });
    }
    start(&binaries, options, &home)
}

fn start(binaries: &Binaries, options: ServerOptions, home: &Path) -> Result<TestServer> {
    // What a crash left of a server that does not sync is not worth recovering.
    let stale = Server::place(&options.directory)?;
    if stale.exists() {
        fs::remove_dir_all(&stale).with_context(|| format!("cannot remove {}", stale.display()))?;
    }
    let server = Server::start(binaries, options)?;
    watch(home, server.directory())?;
    let url = server.url();
    server.detach();
    Ok(TestServer { url })
}

/// Registers this process.
fn become_holder(home: &Path) -> Result<()> {
    let holder = make_home(home)?.join(std::process::id().to_string());
    fs::write(&holder, "").with_context(|| format!("cannot write {}", holder.display()))
}

/// The directory is open to the account that a server of root's runs as, hence not private; its name can be guessed,
/// hence the look at its owner.
fn make_home(home: &Path) -> Result<PathBuf> {
    let holders = home.join("holders");
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&holders)?;
    if fs::symlink_metadata(home)?.uid() != Uid::current().as_raw() {
        bail!("{} belongs to somebody else: set TMPDIR to a directory of your own", home.display());
    }
    Ok(holders)
}

fn watch(home: &Path, cluster: &Path) -> Result<()> {
    let token = Uuid::new_v4().to_string();
    fs::write(home.join("watcher"), &token)?;
    let mut watcher = Command::new("sh");
    watcher.arg("-c").arg(include_str!("watcher.sh")).arg("stateflow-test-pg");
    watcher.arg(home).arg(&token).arg(cluster);
    // It outlives this process: no part in its group, its pipes or its directory.
    watcher.process_group(0).current_dir("/");
    watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    watcher.spawn().context("cannot start the watcher")?;
    Ok(())
}
