//! Compiled plugins on disk, over restarts. A file counts only when its MAC verifies.
//!
//! Machine code from a file is run without further checks, so whoever can forge one owns this
//! process. The MAC is checked over the same bytes in memory that are loaded afterwards; a file
//! that fails is a miss, never an error.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

use crate::{
    admission::PluginKind,
    config::SandboxConfig,
    error::SandboxError,
    wasm_engine::{Tier, WASMTIME},
};

/// Starts every file, with the version of this layout.
const MAGIC: &[u8; 8] = b"SFCWASM2";

const MAC_BYTES: usize = 32;

/// Larger artifacts are compiled anew rather than read.
const MAX_ARTIFACT: u64 = 256 << 20;

/// The extension of what is remembered of a refusal.
const REFUSED: &str = "refused";

/// Refusals that are remembered on disk, each in a file of a few hundred bytes; the newest are kept.
const MAX_REFUSALS: usize = 10_000;

/// The directory, and the key that its files are authenticated with.
pub(crate) struct Artifacts {
    dir: PathBuf,
    secret: [u8; 32],
    compatibility: [u8; 32],
    /// A refusal holds for these limits only.
    limits: String,
    most: u64,
}

/// A compiled component from the directory.
pub(crate) struct Loaded {
    pub(crate) component: Component,
    pub(crate) kind: PluginKind,
    pub(crate) tier: Tier,
}

/// Why a digest will never be compiled under the limits as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    code: String,
    message: String,
    help: String,
}

impl Refusal {
    pub(crate) fn too_expensive(reason: &str) -> Self {
        Self {
            code: "COMPILE_TOO_EXPENSIVE".into(),
            message: format!("plugin is too expensive to compile: {reason}"),
            help: "split large functions, make it smaller, or ask the operator for higher limits"
                .into(),
        }
    }
}

impl From<Refusal> for SandboxError {
    fn from(it: Refusal) -> Self {
        Self::Invalid { code: it.code.into(), message: it.message, help: it.help }
    }
}

impl Artifacts {
    pub(crate) fn open(
        dir: PathBuf,
        config: &SandboxConfig,
        compatibility: [u8; 32],
    ) -> Result<Self, SandboxError> {
        let opened = fs::create_dir_all(&dir).and_then(|()| close_to_others(&dir));
        opened.map_err(|source| SandboxError::System {
            action: format!("open the plugin cache {}", dir.display()),
            source,
        })?;
        let limits = format!("{:?} {:?}", config.compile, config.build_settings());
        Ok(Self {
            dir,
            secret: config.cache_key,
            compatibility,
            limits,
            most: config.cache_dir_bytes,
        })
    }

    /// The compiled component, if there is an authentic one.
    pub(crate) fn load(&self, engine: &Engine, digest: &str) -> Option<Loaded> {
        Tier::ALL.into_iter().find_map(|tier| self.load_tier(engine, digest, tier))
    }

    fn load_tier(&self, engine: &Engine, digest: &str, tier: Tier) -> Option<Loaded> {
        let key = self.key(digest, tier.as_str());
        let path = self.path(&key, "cwasm");
        let bytes = self.authentic_file(&key, &path)?;
        let (kind, code) = bytes.get(MAGIC.len() + MAC_BYTES..)?.split_first()?;
        let kind = kind_of(*kind)?;
        let component = deserialize(engine, code)
            .inspect_err(|error| {
                tracing::warn!(%error, path = %path.display(), "a compiled plugin does not load");
            })
            .ok()?;
        mark_used(&path);
        Some(Loaded { component, kind, tier })
    }

    /// Keeps a compiled component. Failing to is worth a warning and nothing more.
    pub(crate) fn store(&self, digest: &str, tier: Tier, kind: PluginKind, code: &[u8]) {
        let key = self.key(digest, tier.as_str());
        let kept = self.write(&key, "cwasm", &[&[byte_of(kind)], code]).and_then(|()| self.trim());
        if let Err(error) = kept {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot keep a compiled plugin");
        }
    }

    /// Why this digest is not to be compiled, if that was found before under the same limits.
    pub(crate) fn refusal(&self, digest: &str) -> Option<Refusal> {
        let key = self.key(digest, &self.limits);
        let bytes = self.authentic_file(&key, &self.path(&key, REFUSED))?;
        serde_json::from_slice(bytes.get(MAGIC.len() + MAC_BYTES..)?).ok()
    }

    /// Remembers that this digest is not to be compiled.
    pub(crate) fn refuse(&self, digest: &str, refusal: &Refusal) {
        let key = self.key(digest, &self.limits);
        let text = serde_json::to_vec(refusal).expect("a refusal is plain data");
        if let Err(error) = self.write(&key, REFUSED, &[&text]) {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot keep a refusal");
        }
    }

    fn write(&self, key: &[u8; 32], kind: &str, parts: &[&[u8]]) -> io::Result<()> {
        // Renamed into place when complete, so that a reader sees all of it or nothing.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(MAGIC)?;
        file.write_all(&self.mac(key, parts).finalize().into_bytes())?;
        for part in parts {
            file.write_all(part)?;
        }
        file.as_file().sync_all()?;
        file.persist(self.path(key, kind))?;
        Ok(())
    }

    /// The file's bytes, if their MAC is ours.
    fn authentic_file(&self, key: &[u8; 32], path: &Path) -> Option<Vec<u8>> {
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "cannot read a compiled plugin");
                return None;
            }
        };
        if !self.is_authentic(key, &bytes) {
            tracing::warn!(
                path = %path.display(),
                "a compiled plugin is not authentic; compiling it anew"
            );
            return None;
        }
        Some(bytes)
    }

    fn is_authentic(&self, key: &[u8; 32], bytes: &[u8]) -> bool {
        let parts = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(MAC_BYTES));
        parts.is_some_and(|(tag, body)| self.mac(key, &[body]).verify_slice(tag).is_ok())
    }

    /// Over the key, the length of the body and the body.
    fn mac(&self, key: &[u8; 32], body: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.secret)
            .expect("HMAC takes keys of any length");
        mac.update(key);
        let length: usize = body.iter().map(|part| part.len()).sum();
        mac.update(&(length as u64).to_le_bytes());
        for part in body {
            mac.update(part);
        }
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

    fn path(&self, key: &[u8; 32], kind: &str) -> PathBuf {
        self.dir.join(format!("{}.{kind}", hex::encode(key)))
    }

    /// What was refused is remembered in files of their own, which are small, and yet not without end.
    fn trim_refusals(&self) -> io::Result<()> {
        let mut refusals = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(about) = entry.metadata() else { continue };
            if entry.path().extension().is_some_and(|kind| kind == REFUSED) {
                refusals.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
            }
        }
        refusals.sort();
        let over = refusals.len().saturating_sub(MAX_REFUSALS);
        refusals.into_iter().take(over).try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// Removes what was not used for the longest time, until the rest is within the bound.
    fn trim(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            // Another process may have removed it a moment ago.
            let Ok(about) = entry.metadata() else { continue };
            if entry.path().extension().is_some_and(|kind| kind == "cwasm") {
                files.push((
                    about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    about.len(),
                    entry.path(),
                ));
            }
        }
        self.trim_refusals()?;
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        for (_, size, path) in files {
            if total <= self.most {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

/// What the compiler has just given us.
pub(crate) fn load_own(engine: &Engine, code: &[u8]) -> Result<Component, wasmtime::Error> {
    deserialize(engine, code)
}

/// A plugin's kind as the first byte of an artifact.
fn byte_of(kind: PluginKind) -> u8 {
    match kind {
        PluginKind::Step => 1,
        PluginKind::Minimal => 2,
        PluginKind::CommandP1 => 3,
        PluginKind::CommandP2 => 4,
    }
}

fn kind_of(byte: u8) -> Option<PluginKind> {
    use PluginKind::{CommandP1, CommandP2, Minimal, Step};
    [Step, Minimal, CommandP1, CommandP2].into_iter().find(|kind| byte_of(*kind) == byte)
}

/// So that it is not the first to be removed. Failing to only makes it go earlier.
fn mark_used(path: &Path) {
    let touched = fs::File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = touched {
        tracing::debug!(%error, path = %path.display(), "cannot mark a compiled plugin as used");
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
    // SAFETY: the bytes are what `precompile_component` of this wasmtime returned to this service: either the
    // compiler's process, which nobody else can write to, has just handed them over, or the caller has verified a
    // MAC over exactly this slice, whose key nobody else holds and which covers the version, the engine's
    // compatibility hash and the tier. The slice is private memory and cannot change any more.
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
