//! Keeps the exit codes of preview 1 programs. The adapter maps every code but 0 to "failed",
//! because WASI 0.2 has no other; so `proc_exit` is led past the adapter to a function of our own
//! with the same signature.

use wasmparser::{Import, ImportSectionReader, Parser, Payload};
use wasmtime::component::Linker;
use wasmtime_wasi::I32Exit;
use wit_component::StringEncoding;
use wit_parser::Resolve;

use crate::{error::SandboxError, guest::Guest, inspection::malformed, refusal::PREVIEW1};

/// The interface that programs leave through.
const INTERFACE: &str = "stateflow:program/exit@1.0.0";

const WIT: &str = "package stateflow:program@1.0.0;
interface exit { exit: func(code: u32); }
world program { import exit; }";

/// The module with its `proc_exit` replaced, and the description of what replaces it.
pub(crate) fn keep(core: &[u8]) -> Result<Vec<u8>, SandboxError> {
    let mut kept = Vec::with_capacity(core.len() + 512);
    let mut done = 0;
    for payload in Parser::new(0).parse_all(core) {
        if let Payload::ImportSection(section) = payload.map_err(malformed)? {
            let range = section.range();
            let Some(body) = rewritten(core, &section)? else { return Ok(core.to_vec()) };
            // The section's size stands before its body, in as many bytes as it needs.
            let id_at = header_start(core, range.start, range.len());
            kept.extend_from_slice(&core[done..=id_at]);
            push_leb(&mut kept, body.len());
            kept.extend_from_slice(&body);
            done = range.end;
        }
    }
    kept.extend_from_slice(&core[done..]);
    describe(&mut kept)?;
    Ok(kept)
}

/// Lets programs leave with their code.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(INTERFACE)?.func_wrap("exit", |_, (code,): (u32,)| -> wasmtime::Result<()> {
        Err(wasmtime::format_err!(I32Exit(code.cast_signed())))
    })
}

/// The import section's body with the one import renamed, unless it is not there.
fn rewritten(
    core: &[u8],
    section: &ImportSectionReader<'_>,
) -> Result<Option<Vec<u8>>, SandboxError> {
    let mut imports: Vec<(usize, Import<'_>)> = Vec::new();
    for import in section.clone().into_imports_with_offsets() {
        imports.push(import.map_err(malformed)?);
    }
    let end = section.range().end;
    let leaves = |import: &Import<'_>| import.module == PREVIEW1 && import.name == "proc_exit";
    if !imports.iter().any(|(_, import)| leaves(import)) {
        return Ok(None);
    }
    let mut body = Vec::new();
    push_leb(&mut body, imports.len());
    for (index, (start, import)) in imports.iter().enumerate() {
        let next = imports.get(index + 1).map_or(end, |(next, _)| *next);
        if !leaves(import) {
            body.extend_from_slice(&core[*start..next]);
            continue;
        }
        push_name(&mut body, INTERFACE);
        push_name(&mut body, "exit");
        // What follows the two names is the type: the name is a slice of the module, which says
        // where it ends.
        let name_end = import.name.as_ptr().addr() - core.as_ptr().addr() + import.name.len();
        body.extend_from_slice(&core[name_end..next]);
    }
    Ok(Some(body))
}

/// Where the section's id stands: before its size in LEB128, which need not be the shortest form.
fn header_start(core: &[u8], body: usize, size: usize) -> usize {
    // All but the last byte of a LEB128 number have the high bit; the id before it, 2, does not.
    let mut at = body - 1;
    debug_assert!(core[at] < 0x80 && size > 0, "a number ends with a byte without the high bit");
    while core[at - 1] >= 0x80 {
        at -= 1;
    }
    at - 1
}

fn describe(core: &mut Vec<u8>) -> Result<(), SandboxError> {
    let described = (|| {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("program.wit", WIT)?;
        let world = resolve.select_world(&[package], Some("program"))?;
        wit_component::embed_component_metadata(core, &resolve, world, StringEncoding::UTF8)
    })();
    described.map_err(|error| {
        SandboxError::invalid(
            "PLUGIN_NOT_ADAPTABLE",
            format!("plugin cannot be adapted: {error:#}"),
            "build it for wasm32-wasip1 with a current toolchain",
        )
    })
}

fn push_name(bytes: &mut Vec<u8>, name: &str) {
    push_leb(bytes, name.len());
    bytes.extend_from_slice(name.as_bytes());
}

fn push_leb(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits fit into a byte");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}
