//! Uploads that cannot run here, each with the sentence that gets its author further.

use crate::{
    config::BuildSettings,
    error::SandboxError,
    inspection::{Inspection, Origin},
};

/// The one preview 1 module that adapters exist for.
pub(crate) const PREVIEW1: &str = "wasi_snapshot_preview1";

const USE_A_WASI_TARGET: &str =
    "build for wasm32-wasip1 or wasm32-wasip2, or build a component with the Rust SDK";

/// Interfaces that the host links, without their versions.
const PROVIDED: [&str; 31] = [
    "stateflow:plugin/blob",
    "stateflow:plugin/http",
    "stateflow:plugin/progress",
    "stateflow:plugin/revealing",
    "stateflow:plugin/secrets",
    "stateflow:plugin/signing",
    "stateflow:plugin/log",
    "stateflow:plugin/types",
    "stateflow:program/exit",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Refuses what is not even worth parsing.
pub(crate) fn check_bytes(upload: &[u8], settings: &BuildSettings) -> Result<(), SandboxError> {
    let most = settings.max_upload_bytes;
    if upload.is_empty() {
        return Err(SandboxError::invalid(
            "PLUGIN_EMPTY",
            "the upload is empty",
            "send the bytes of a .wasm file",
        ));
    }
    if upload.len() > most {
        return Err(SandboxError::invalid(
            "PLUGIN_TOO_LARGE",
            format!("plugin has {} bytes, the limit is {most}", upload.len()),
            "strip debug information and optimise for size, or ask the operator for a higher limit",
        ));
    }
    if wasmtime::Engine::detect_precompiled(upload).is_some() {
        return Err(SandboxError::invalid(
            "PLUGIN_PRECOMPILED",
            "the upload is machine code that wasmtime has compiled",
            "upload the .wasm file itself; compiled code from outside is never run",
        ));
    }
    if !upload.starts_with(b"\0asm") {
        return Err(SandboxError::invalid(
            "PLUGIN_NOT_WASM",
            "the upload is not wasm: it does not start with \\0asm",
            "send the bytes of a .wasm file, neither text format nor compressed",
        ));
    }
    Ok(())
}

/// Refuses what was built for somewhere else.
pub(crate) fn check_origin(inspection: &Inspection) -> Result<(), SandboxError> {
    if inspection.has_shared_memory {
        return Err(SandboxError::invalid(
            "PLUGIN_THREADS",
            "plugin uses shared memory, and threads are not available to plugins",
            "build without threads, for example for wasm32-wasip1 instead of wasm32-wasip1-threads",
        ));
    }
    for (module, name) in &inspection.core_imports {
        check_core_import(module, name, inspection.origin == Origin::WitBindgen)?;
    }
    for import in &inspection.imports {
        check_interface(import)?;
    }
    Ok(())
}

fn check_core_import(module: &str, name: &str, has_world: bool) -> Result<(), SandboxError> {
    let refuse = |code, built: &str, help: &str| {
        Err(SandboxError::invalid(code, format!("plugin imports `{module}.{name}`: {built}"), help))
    };
    if module == "wbg" || module.starts_with("__wbindgen") || name.starts_with("__wbindgen") {
        return refuse(
            "PLUGIN_BROWSER_BUILD",
            "it was built for the browser with wasm-bindgen",
            USE_A_WASI_TARGET,
        );
    }
    if module == "gojs" || (module == "go" && name.contains('.')) {
        return refuse(
            "PLUGIN_GOJS",
            "it was built with GOOS=js for the browser",
            "build with GOOS=wasip1 GOARCH=wasm",
        );
    }
    if module == "wasi_unstable" {
        return refuse(
            "PLUGIN_WASI_UNSTABLE",
            "it was built for a WASI from before preview 1",
            "rebuild with a current toolchain for wasm32-wasip1",
        );
    }
    if is_emscripten(module, name) {
        return refuse(
            "PLUGIN_EMSCRIPTEN",
            "it was built with Emscripten, which needs JavaScript around it",
            "build with -sSTANDALONE_WASM, or with wasi-sdk or zig cc for wasm32-wasi",
        );
    }
    let known = module == PREVIEW1 || (has_world && module != "env");
    if known {
        return Ok(());
    }
    refuse(
        "PLUGIN_UNKNOWN_IMPORT",
        "nobody provides that here; the linker did not find it, or it is a build for a browser",
        USE_A_WASI_TARGET,
    )
}

fn is_emscripten(module: &str, name: &str) -> bool {
    module == "env"
        && ["emscripten_", "_emscripten_", "__syscall_", "invoke_", "__cxa_"]
            .iter()
            .any(|start| name.starts_with(start))
}

fn check_interface(import: &str) -> Result<(), SandboxError> {
    let name = import.split('@').next().unwrap_or(import);
    if PROVIDED.contains(&name) {
        return Ok(());
    }
    let help = match name.split('/').next().unwrap_or(name) {
        "wasi:sockets" => {
            "plugins have no sockets here; use stateflow:plugin/http or wasi:http/outgoing-handler"
        }
        _ => "build it against the interfaces of stateflow:plugin and WASI 0.2",
    };
    Err(SandboxError::invalid(
        "PLUGIN_CAPABILITY_UNAVAILABLE",
        format!("plugin imports `{import}`, which is not available to plugins"),
        help,
    ))
}
