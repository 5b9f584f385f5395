//! Compiled plugins on disk, over restarts. A file counts only when its MAC verifies.
//!
//! Machine code from a file is run without further checks, so whoever can forge one owns this
//! process. The MAC is checked over the same bytes in memory that are loaded afterwards; a file
//! that fails is a miss, never an error.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use crate::{error::SandboxError, wasm_engine::WASMTIME};

/// Starts every file, with the version of this layout.
const MAGIC: &[u8; 8] = b"SFCWASM1";

const MAC_BYTES: usize = 32;

/// Larger artifacts are compiled anew rather than read.
const MAX_ARTIFACT: u64 = 256 << 20;

/// The directory, and the key that its files are authenticated with.
pub(crate) struct Artifacts {
    dir: PathBuf,
    secret: [u8; 32],
    compatibility: [u8; 32],
}

impl Artifacts {
    pub(crate) fn open(
        dir: PathBuf,
        secret: [u8; 32],
        compatibility: [u8; 32],
    ) -> Result<Self, SandboxError> {
        let opened = fs::create_dir_all(&dir).and_then(|()| close_to_others(&dir));
        opened.map_err(|source| SandboxError::System {
            action: format!("open the plugin cache {}", dir.display()),
            source,
        })?;
        Ok(Self { dir, secret, compatibility })
    }

    /// The compiled component, if there is an authentic one.
    pub(crate) fn load(&self, engine: &Engine, digest: &str, tier: &str) -> Option<Component> {
        let key = self.key(digest, tier);
        let path = self.path(&key);
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot read a compiled plugin");
                return None;
            }
        };
        let Some(code) = self.authentic(&key, &bytes) else {
            tracing::warn!(
                path = %path.display(),
                "a compiled plugin is not authentic; compiling it anew"
            );
            return None;
        };
        deserialize(engine, code)
            .inspect_err(|error| {
                tracing::warn!(%error, path = %path.display(), "a compiled plugin does not load");
            })
            .ok()
    }

    /// Keeps a compiled component. Failing to is worth a warning and nothing more.
    pub(crate) fn store(&self, digest: &str, tier: &str, code: &[u8]) {
        let key = self.key(digest, tier);
        if let Err(error) = self.write(&key, code) {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot keep a compiled plugin");
        }
    }

    fn write(&self, key: &[u8; 32], code: &[u8]) -> io::Result<()> {
        // Renamed into place when complete, so that a reader sees all of it or nothing.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(MAGIC)?;
        file.write_all(&self.mac(key, code).finalize().into_bytes())?;
        file.write_all(code)?;
        file.as_file().sync_all()?;
        file.persist(self.path(key))?;
        Ok(())
    }

    fn authentic<'a>(&self, key: &[u8; 32], bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, code) = bytes.strip_prefix(MAGIC)?.split_at_checked(MAC_BYTES)?;
        self.mac(key, code).verify_slice(tag).ok()?;
        Some(code)
    }

    fn mac(&self, key: &[u8; 32], code: &[u8]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.secret)
            .expect("HMAC takes keys of any length");
        mac.update(key);
        mac.update(&(code.len() as u64).to_le_bytes());
        mac.update(code);
        mac
    }

    /// Everything that decides whether the machine code is the right one.
    fn key(&self, digest: &str, tier: &str) -> [u8; 32] {
        let mut hasher = Sha256::new();
        for part in [digest.as_bytes(), &self.compatibility, WASMTIME.as_bytes(), tier.as_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    fn path(&self, key: &[u8; 32]) -> PathBuf {
        self.dir.join(format!("{}.cwasm", hex::encode(key)))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_ARTIFACT + 1).read_to_end(&mut bytes)?;
    if read as u64 > MAX_ARTIFACT {
        return Err(io::Error::other("it is too large"));
    }
    Ok(bytes)
}

#[expect(unsafe_code, reason = "wasmtime cannot check machine code; the MAC above it does")]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, wasmtime::Error> {
    // SAFETY: the bytes are what `Component::serialize` of this wasmtime returned to this service:
    // the caller has verified a MAC over exactly this slice, whose key nobody else holds and which
    // covers the version, the engine's compatibility hash and the tier. The slice is private memory
    // and cannot change any more.
    unsafe { Component::deserialize(engine, code) }
}

#[cfg(unix)]
fn close_to_others(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn close_to_others(_: &Path) -> io::Result<()> {
    Ok(())
}
