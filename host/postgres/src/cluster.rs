//! A database cluster on disk: one directory that holds the data, the password and the log.
//!
//! ```text
//! <directory>/data       what initdb made; owned by the server's account
//! <directory>/password   of the user `stateflow`, mode 0600
//! <directory>/log        what the server writes
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};
use uuid::Uuid;

use crate::account::Account;
use crate::binaries::Binaries;

/// The superuser of every private cluster, and the name of its database.
pub(crate) const NAME: &str = "stateflow";

/// How much of the log's end an error message carries.
const LOG_TAIL_LINES: usize = 20;

/// A cluster that has been made.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) directory: PathBuf,
    pub(crate) account: Account,
    password: String,
}

impl Cluster {
    /// Opens the cluster in the directory, or makes one there.
    pub(crate) fn open(binaries: &Binaries, wanted: &Path, durable: bool) -> Result<Self> {
        let account = Account::choose()?;
        let directory = account.place(wanted)?;
        let mut cluster = Self { directory, account, password: String::new() };
        if cluster.data().exists() {
            cluster.check_version(binaries)?;
            cluster.password = cluster.read_password()?;
        } else {
            cluster.make_directory()?;
            cluster.password = cluster.write_password()?;
            cluster.initialise(binaries, durable)?;
        }
        Ok(cluster)
    }

    /// The major version of the cluster in the wanted directory, if there is one.
    pub(crate) fn major(wanted: &Path) -> Result<Option<u32>> {
        let directory = Account::choose()?.place(wanted)?;
        Ok(read_major(&directory.join("data")))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Where to connect.
    pub(crate) fn url(&self, port: u16) -> String {
        format!("postgres://{NAME}:{}@127.0.0.1:{port}/{NAME}?sslmode=disable", self.password)
    }

    /// The end of the server's log, for an error message.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn check_version(&self, binaries: &Binaries) -> Result<()> {
        let data = self.data();
        let Some(major) = read_major(&data) else {
            bail!("{} is not a Postgres data directory: move it away", data.display());
        };
        if major != binaries.major() {
            bail!(
                "the data in {} is of Postgres {major}, but the server found is {}: install Postgres \
                 {major}, or move the directory away to begin anew",
                data.display(),
                binaries.major()
            );
        }
        Ok(())
    }

    fn make_directory(&self) -> Result<()> {
        if let Some(parent) = self.directory.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        if !self.directory.exists() {
            DirBuilder::new()
                .mode(0o700)
                .create(&self.directory)
                .with_context(|| format!("cannot make {}", self.directory.display()))?;
        }
        self.account.own(&self.directory)
    }

    fn password_file(&self) -> PathBuf {
        self.directory.join("password")
    }

    fn read_password(&self) -> Result<String> {
        let file = self.password_file();
        fs::read_to_string(&file).map(|text| text.trim().to_owned()).with_context(|| {
            format!(
                "cannot read the database's password from {}: move the directory away",
                file.display()
            )
        })
    }

    fn write_password(&self) -> Result<String> {
        let path = self.password_file();
        // Version 4: 122 random bits.
        let password = Uuid::new_v4().simple().to_string();
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        file.write_all(password.as_bytes())?;
        self.account.own(&path)?;
        Ok(password)
    }

    /// Makes the data beside its final place: a crash in the middle leaves nothing that looks complete.
    fn initialise(&self, binaries: &Binaries, durable: bool) -> Result<()> {
        let unfinished = self.directory.join("data.unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .with_context(|| format!("cannot remove {}", unfinished.display()))?;
        }
        let mut initdb = self.account.command(&binaries.program("initdb"));
        initdb.current_dir(&self.directory).arg("--pgdata").arg(&unfinished);
        initdb.args(["--username", NAME, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
        initdb.arg("--pwfile").arg(self.password_file());
        if !durable {
            initdb.arg("--no-sync");
        }
        let output = initdb.stdin(Stdio::null()).output().context("cannot run initdb")?;
        require_success("initdb", &output)?;
        self.create_database(binaries, &unfinished)?;
        fs::rename(&unfinished, self.data())
            .with_context(|| format!("cannot move {} into place", unfinished.display()))?;
        if durable {
            File::open(&self.directory)?.sync_all()?;
        }
        Ok(())
    }

    /// Single-user mode: no server and no client program is needed for one statement.
    fn create_database(&self, binaries: &Binaries, data: &Path) -> Result<()> {
        let mut single = self.account.command(&binaries.program("postgres"));
        single.current_dir(&self.directory).arg("--single").arg("-D").arg(data).arg("postgres");
        single.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = single.spawn().context("cannot run postgres in single-user mode")?;
        let mut stdin = child.stdin.take().expect("stdin was asked for as a pipe");
        stdin.write_all(format!("create database {NAME}\n").as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        // It exits with 0 even when the statement failed.
        if String::from_utf8_lossy(&output.stderr).contains("ERROR:") {
            bail!("cannot create the database: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        require_success("postgres --single", &output)
    }
}

fn read_major(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

fn require_success(program: &str, output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{program} failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
}
