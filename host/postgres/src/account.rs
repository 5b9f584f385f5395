//! Which account a server runs as, and where that account can reach its files.
//!
//! Postgres refuses to run as root. In a container one often is root, so the server then gets the account
//! `postgres`, or `nobody` where there is none.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{Gid, Uid, User, chown};
use uuid::Uuid;

/// Where a server's files go when its account cannot reach the directory that was asked for.
const FALLBACK_ROOT: &str = "/var/lib/stateflow";

/// The account that a server runs as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    /// Set when this process is root and has to become somebody else.
    other: Option<(Uid, Gid)>,
}

impl Account {
    /// The current user, or for root the account that stands in.
    pub(crate) fn choose() -> Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self { other: None });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name).context("cannot look up an account")? {
                return Ok(Self { other: Some((user.uid, user.gid)) });
            }
        }
        bail!(
            "Postgres does not run as root, and there is no account `postgres` or `nobody`: add one"
        )
    }

    /// A command that runs as this account.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.other {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// Gives one file or directory to this account.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        let Some((uid, gid)) = self.other else { return Ok(()) };
        chown(path, Some(uid), Some(gid))
            .with_context(|| format!("cannot give {} to the Postgres account", path.display()))
    }

    /// The wanted directory, or a stable substitute when a parent of it is closed to this account.
    pub(crate) fn place(self, wanted: &Path) -> Result<PathBuf> {
        let wanted = std::path::absolute(wanted)
            .with_context(|| format!("cannot resolve {}", wanted.display()))?;
        let Some(closed) = self.closed_parent(&wanted) else { return Ok(wanted) };
        let name = Uuid::new_v5(&Uuid::NAMESPACE_URL, wanted.as_os_str().as_encoded_bytes());
        let substitute = Path::new(FALLBACK_ROOT).join(name.simple().to_string());
        tracing::info!(
            wanted = %wanted.display(), closed = %closed.display(), used = %substitute.display(),
            "the Postgres account cannot enter a parent directory: its files go elsewhere"
        );
        Ok(substitute)
    }

    fn closed_parent(self, wanted: &Path) -> Option<&Path> {
        let (uid, gid) = self.other?;
        wanted.ancestors().skip(1).find(|parent| {
            // What does not exist yet is made by this process, open to all.
            fs::metadata(parent).is_ok_and(|found| !may_enter(&found, uid, gid))
        })
    }
}

fn may_enter(directory: &fs::Metadata, uid: Uid, gid: Gid) -> bool {
    let bit = if directory.uid() == uid.as_raw() {
        0o100
    } else if directory.gid() == gid.as_raw() {
        0o010
    } else {
        0o001
    };
    directory.permissions().mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_user_keeps_the_directory_that_it_asked_for() {
        let account = Account { other: None };
        assert_eq!(
            account.place(Path::new("/root/x/postgres")).unwrap(),
            Path::new("/root/x/postgres")
        );
    }

    #[test]
    fn a_directory_below_a_closed_parent_moves_and_stays_there() {
        let parent = tempfile::tempdir().unwrap();
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account { other: Some((Uid::from_raw(65_123), Gid::from_raw(65_123))) };
        let wanted = parent.path().join("postgres");
        let placed = stranger.place(&wanted).unwrap();
        assert!(placed.starts_with(FALLBACK_ROOT), "{placed:?}");
        assert_eq!(placed, stranger.place(&wanted).unwrap());

        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(stranger.place(&wanted).unwrap(), wanted);
    }
}
