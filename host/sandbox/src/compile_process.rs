//! The compiler's own process: what is sent to it, what comes back, and what its death means.
//!
//! ```text
//!   parent                                   child (`serve_compiler`)
//!   instructions ── last argument ─────────▶ confinement
//!   bytes ───────── a file as stdin ───────▶ building
//!   a file ◀─────── stdout ───────────────── length, header, component, code
//!   a reason ◀───── exit, signal, stderr
//! ```
//!
//! Files and not pipes: the child never waits for its parent, and the system bounds what it writes.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{ExitCode, ExitStatus, Stdio},
    thread,
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt, process::Command, time};

use crate::{
    admission::{Adapted, Surface},
    building::{self, Built, Order},
    config::{BuildSettings, CompileLimits},
    confinement,
    error::SandboxError,
    wasm_engine::Tier,
};

/// The compiler recurses over the guest's nesting.
pub(crate) const STACK: usize = 64 << 20;

/// What is kept of a child's last words.
const LAST_WORDS: u64 = 4 << 10;

/// What one child is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Instructions {
    pub(crate) order: Order,
    pub(crate) tier: Tier,
    pub(crate) settings: BuildSettings,
    pub(crate) limits: CompileLimits,
}

/// What stands before the bytes in a child's output.
#[derive(Debug, Serialize, Deserialize)]
enum Header {
    Built { surface: Surface, component_bytes: usize },
    Invalid { code: String, message: String, help: String },
    Failed { message: String },
}

/// Why there is no code.
#[derive(Debug)]
pub(crate) enum NotBuilt {
    /// The upload is at fault, or this host.
    Refused(SandboxError),
    /// It used up what it may use: with fewer optimisations it may get by.
    Spent(&'static str),
    /// The compiler died of it.
    Crashed(String),
}

impl From<SandboxError> for NotBuilt {
    fn from(error: SandboxError) -> Self {
        Self::Refused(error)
    }
}

/// Builds in a child process. Dropping the future kills it.
pub(crate) async fn build(
    program: &Path,
    arguments: &[String],
    instructions: &Instructions,
    bytes: &[u8],
) -> Result<Built, NotBuilt> {
    let system = |action: &str| {
        let action = action.to_owned();
        move |source: io::Error| SandboxError::System { action, source }
    };
    let input = input(bytes).map_err(system("write a plugin for the compiler"))?;
    let mut output = tempfile::tempfile().map_err(system("make a file for the compiler"))?;
    let child_output = output.try_clone().map_err(system("make a file for the compiler"))?;
    let told = serde_json::to_string(instructions).expect("instructions are plain data");
    let mut child = Command::new(program)
        .args(arguments)
        .arg(told)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(child_output))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(system("start the compiler"))?;
    let mut last_words = Vec::new();
    let ended = time::timeout(instructions.limits.wall, async {
        if let Some(stderr) = child.stderr.take() {
            // The rest of a flood is left unread; its writer is told so and goes on without.
            stderr.take(LAST_WORDS).read_to_end(&mut last_words).await?;
        }
        child.wait().await
    });
    let status = match ended.await {
        Ok(status) => status.map_err(system("wait for the compiler"))?,
        Err(_) => return Err(NotBuilt::Spent("wall clock time")),
    };
    judge(status, &String::from_utf8_lossy(&last_words))?;
    read_output(&mut output, bytes, instructions).map_err(|error| match error {
        Ok(refused) => NotBuilt::Refused(refused),
        Err(broken) => NotBuilt::Crashed(format!("its output is not whole: {broken}")),
    })
}

/// The whole of the compiler's process: reads the instructions, the bytes from stdin, and writes to stdout. Nothing
/// may have been started in the process before.
pub fn serve_compiler(instructions: &str) -> ExitCode {
    match serve(instructions) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent reads it; there is nobody else to tell.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(instructions: &str) -> Result<(), Box<dyn std::error::Error>> {
    let told: Instructions = serde_json::from_str(instructions)?;
    confinement::enter(&told.limits)?;
    let mut bytes = Vec::new();
    // One byte more than is allowed tells that it is too much.
    io::stdin()
        .lock()
        .take(told.settings.max_upload_bytes as u64 * 4 + 1)
        .read_to_end(&mut bytes)?;
    let work = move || {
        confinement::seal().map_err(|error| error.to_string())?;
        let built = building::build(told.order, &bytes, &told.settings, told.tier);
        write_output(&mut io::stdout().lock(), built).map_err(|error| error.to_string())
    };
    let worker = thread::Builder::new().stack_size(STACK).spawn(work)?;
    worker.join().map_err(|_| "the compiler panicked")??;
    Ok(())
}

fn write_output(to: &mut impl Write, built: Result<Built, SandboxError>) -> io::Result<()> {
    let (header, component, code) = match built {
        Ok(built) => {
            let Adapted { component, surface } = built.adapted;
            (Header::Built { surface, component_bytes: component.len() }, component, built.code)
        }
        Err(SandboxError::Invalid { code, message, help }) => {
            (Header::Invalid { code: code.into_owned(), message, help }, vec![], vec![])
        }
        Err(other) => (Header::Failed { message: format!("{other:?}") }, vec![], vec![]),
    };
    let header = serde_json::to_vec(&header)?;
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    for part in [header, component, code] {
        to.write_all(&part)?;
    }
    to.flush()
}

fn input(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// `Ok` is a refusal that the child has written down, `Err` what is wrong with its output.
fn read_output(
    output: &mut File,
    sent: &[u8],
    instructions: &Instructions,
) -> Result<Built, Result<SandboxError, io::Error>> {
    output.rewind().map_err(Err)?;
    let mut length = [0; 8];
    output.read_exact(&mut length).map_err(Err)?;
    let mut header = Vec::new();
    output.take(u64::from_le_bytes(length)).read_to_end(&mut header).map_err(Err)?;
    let header = serde_json::from_slice(&header).map_err(|error| Err(error.into()))?;
    let (surface, component_bytes) = match header {
        Header::Built { surface, component_bytes } => (surface, component_bytes),
        Header::Invalid { code, message, help } => {
            return Err(Ok(SandboxError::Invalid { code: code.into(), message, help }));
        }
        Header::Failed { message } => {
            return Err(Ok(SandboxError::System {
                action: "compile a plugin".into(),
                source: io::Error::other(message),
            }));
        }
    };
    let mut component = Vec::with_capacity(component_bytes.min(sent.len() * 2 + (1 << 20)));
    output.take(component_bytes as u64).read_to_end(&mut component).map_err(Err)?;
    if component.len() != component_bytes {
        return Err(Err(io::ErrorKind::UnexpectedEof.into()));
    }
    let mut code = Vec::new();
    output.take(instructions.limits.code_bytes + 1).read_to_end(&mut code).map_err(Err)?;
    if code.len() as u64 > instructions.limits.code_bytes {
        return Err(Ok(too_much_code(instructions.limits.code_bytes)));
    }
    Ok(Built { adapted: Adapted { component, surface }, code, tier: instructions.tier })
}

/// What the end of a child means. Success is looked at by what it has written.
fn judge(status: ExitStatus, last_words: &str) -> Result<(), NotBuilt> {
    if status.success() {
        return Ok(());
    }
    let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
    Err(match signal {
        Some(Signal::SIGXCPU | Signal::SIGKILL) => NotBuilt::Spent("processor time"),
        Some(Signal::SIGXFSZ) => NotBuilt::Spent("room for machine code"),
        _ if last_words.contains("memory allocation of") => NotBuilt::Spent("memory"),
        Some(signal) => NotBuilt::Crashed(format!("{signal}; {}", last_words.trim())),
        None => NotBuilt::Crashed(format!("{status}; {}", last_words.trim())),
    })
}

fn too_much_code(most: u64) -> SandboxError {
    SandboxError::invalid(
        "COMPILE_TOO_EXPENSIVE",
        format!("plugin becomes more than {most} bytes of machine code"),
        "make it smaller, or ask the operator for a higher limit",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(raw: i32) -> ExitStatus {
        ExitStatus::from_raw(raw)
    }

    #[test]
    fn a_child_that_used_up_its_time_or_memory_may_be_tried_with_less() {
        for (raw, words) in [
            (Signal::SIGXCPU as i32, ""),
            (Signal::SIGKILL as i32, ""),
            (Signal::SIGXFSZ as i32, ""),
            (Signal::SIGILL as i32, "memory allocation of 99 bytes failed"),
        ] {
            assert!(matches!(judge(status(raw), words), Err(NotBuilt::Spent(_))), "{raw}");
        }
    }

    #[test]
    fn a_child_that_died_otherwise_has_crashed() {
        for raw in [Signal::SIGSEGV as i32, Signal::SIGILL as i32, 1 << 8] {
            let judged = judge(status(raw), "why");
            assert!(matches!(judged, Err(NotBuilt::Crashed(ref words)) if words.contains("why")));
        }
        assert!(judge(status(0), "").is_ok());
    }

    #[test]
    fn what_is_written_is_read_again_and_what_is_cut_is_not() {
        let surface = Surface {
            kind: crate::PluginKind::Minimal,
            imports: vec!["a".into()],
            capabilities: std::collections::BTreeSet::new(),
        };
        let adapted = Adapted { component: vec![1, 2, 3], surface: surface.clone() };
        let built = Built { adapted, code: vec![4, 5], tier: Tier::None };
        let mut whole = Vec::new();
        write_output(&mut whole, Ok(built)).unwrap();
        let settings = crate::SandboxConfig::new([0; 32]);
        let told = Instructions {
            order: Order::Upload,
            tier: Tier::None,
            settings: settings.build_settings(),
            limits: CompileLimits { code_bytes: 2, ..CompileLimits::default() },
        };
        let read = |bytes: &[u8], told: &Instructions| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            read_output(&mut file, &[], told)
        };
        let built = read(&whole, &told).unwrap();
        assert_eq!((built.adapted.surface, built.code), (surface, vec![4, 5]));
        for length in [0, 7, 8, 20, whole.len() - 3] {
            assert!(matches!(read(&whole[..length], &told), Err(Err(_))), "{length}");
        }
        let limits = CompileLimits { code_bytes: 1, ..told.limits };
        let refused = read(&whole, &Instructions { limits, ..told }).unwrap_err().unwrap();
        assert_eq!(refused.code(), Some("COMPILE_TOO_EXPENSIVE"));
    }
}
