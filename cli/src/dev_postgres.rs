//! The database of `stateflow dev`: a private Postgres in the project's directory, or in a temporary one.
//!
//! Adds to the crate `postgres` what belongs to the command: one user of a directory at a time, the download where no
//! server is installed, and what becomes of the data.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use postgres::{Binaries, Server, ServerOptions, StopMode};
use tempfile::TempDir;

/// Where the database lives.
#[derive(Clone, Debug)]
pub(crate) struct DevPostgresOptions {
    /// The project's directory for what `stateflow dev` keeps, `.stateflow` as a rule.
    pub(crate) data_root: PathBuf,
    /// Keeps nothing: the data goes to a temporary directory that is removed at the end.
    pub(crate) ephemeral: bool,
    /// A free one when `None`.
    pub(crate) port: Option<u16>,
    /// Where a downloaded server is kept, for a machine that has none installed.
    pub(crate) cache: PathBuf,
}

/// A running database for development. Stopped on drop; `stop` also reports what went wrong.
#[derive(Debug)]
pub(crate) struct DevPostgres {
    /// Declared first: the server stops before its directory goes and its lock is released.
    server: Server,
    url: String,
    /// Removes the directory where no server came to be; a server removes its own.
    ephemeral: Option<TempDir>,
    lock: Option<Lock>,
}

impl DevPostgres {
    /// Returns when the database accepts connections. One that a killed `stateflow dev` left running is adopted.
    pub(crate) async fn start(options: DevPostgresOptions) -> Result<Self> {
        let ephemeral = options
            .ephemeral
            .then(|| tempfile::Builder::new().prefix("stateflow-dev-").tempdir())
            .transpose()
            .context("cannot make a temporary directory")?;
        let (directory, lock) = match &ephemeral {
            Some(temporary) => (temporary.path().to_owned(), None),
            None => (options.data_root.join("postgres"), Some(lock(&options.data_root)?)),
        };
        let binaries = binaries(&options.cache, &directory).await?;
        let settings = ServerOptions {
            port: options.port,
            keep: !options.ephemeral,
            ..ServerOptions::new(directory)
        };
        let server = tokio::task::spawn_blocking(move || Server::start(&binaries, settings))
            .await
            .context("the thread that starts Postgres ended")?
            .context("cannot start the private Postgres")?;
        Ok(Self { url: server.url(), server, ephemeral, lock })
    }

    /// Where to connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server in order and, if it is ephemeral, removes its data.
    pub(crate) async fn stop(self) -> Result<()> {
        let Self { server, ephemeral, lock, .. } = self;
        tokio::task::spawn_blocking(move || server.stop(StopMode::Fast))
            .await
            .context("the thread that stops Postgres ended")?
            .context("cannot stop the private Postgres")?;
        // Not before the server is gone: whoever gets the lock next may start one.
        drop(lock);
        drop(ephemeral);
        Ok(())
    }
}

/// Only binaries of the same major version can read existing data.
async fn binaries(cache: &Path, directory: &Path) -> Result<Binaries> {
    let major = Server::major_in(directory)?;
    if let Some(found) = Binaries::find(major) {
        return Ok(found);
    }
    postgres::download(cache, major).await
}

/// A directory that nobody else uses. The operating system gives it back even after a kill.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a process that is being started on another thread has it open until it becomes
    /// another program. An error leaves that.
    fn drop(&mut self) {
        drop(self.0.unlock());
    }
}

fn lock(data_root: &Path) -> Result<Lock> {
    fs::create_dir_all(data_root)
        .with_context(|| format!("cannot make {}", data_root.display()))?;
    let path = data_root.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => bail!(
            "another `stateflow dev` uses {}: stop it, or run this one with --ephemeral",
            data_root.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(root: &TempDir) -> DevPostgresOptions {
        DevPostgresOptions {
            data_root: root.path().join(".stateflow"),
            ephemeral: false,
            port: None,
            cache: root.path().join("cache"),
        }
    }

    /// Of the user and password, which are made with the data.
    fn credentials(database: &DevPostgres) -> String {
        database.url().split('@').next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_second_start_keeps_the_data_and_leaves_no_process() {
        let root = tempfile::tempdir().unwrap();
        let first = DevPostgres::start(options(&root)).await.unwrap();
        let (login, home) = (credentials(&first), first.server.directory().to_owned());
        first.stop().await.unwrap();
        assert!(!home.join("data/postmaster.pid").exists());

        let second = DevPostgres::start(options(&root)).await.unwrap();
        assert_eq!(credentials(&second), login);
        second.stop().await.unwrap();
        assert!(!home.join("data/postmaster.pid").exists());
        remove_elsewhere(&root, &home);
    }

    #[tokio::test]
    async fn a_database_whose_parent_was_killed_is_adopted() {
        let root = tempfile::tempdir().unwrap();
        let DevPostgres { server, url, lock, .. } =
            DevPostgres::start(options(&root)).await.unwrap();
        let (pid, home) = (server.pid(), server.directory().to_owned());
        server.detach();
        drop(lock);

        let adopted = DevPostgres::start(options(&root)).await.unwrap();
        assert_eq!((adopted.server.pid(), adopted.url()), (pid, url.as_str()));
        adopted.stop().await.unwrap();
        assert!(!home.join("data/postmaster.pid").exists());
        remove_elsewhere(&root, &home);
    }

    #[tokio::test]
    async fn two_in_one_directory_get_a_clear_error() {
        let root = tempfile::tempdir().unwrap();
        let _held = lock(&options(&root).data_root).unwrap();
        let error = DevPostgres::start(options(&root)).await.unwrap_err().to_string();
        assert!(error.contains("another `stateflow dev`"), "{error}");
    }

    #[tokio::test]
    async fn an_ephemeral_database_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let wanted = DevPostgresOptions { ephemeral: true, ..options(&root) };
        let database = DevPostgres::start(wanted.clone()).await.unwrap();
        let home = database.server.directory().to_owned();
        assert!(home.exists());
        database.stop().await.unwrap();
        assert!(!home.exists() && !wanted.data_root.exists());
    }

    /// As root a server cannot live in a private temporary directory and lives elsewhere.
    fn remove_elsewhere(root: &TempDir, home: &Path) {
        if !home.starts_with(root.path()) {
            fs::remove_dir_all(home).unwrap();
        }
    }
}
