//! From uploaded bytes to a component that is fit to be compiled, with what it may ask of the host.

use std::collections::BTreeSet;

use engine::capability::{CapabilityKind, Requested};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use wasi_preview1_component_adapter_provider as adapters;
use wasmparser::Validator;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use crate::{
    config::BuildSettings,
    error::SandboxError,
    exit_code,
    inspection::{ADAPTER_SECTION, Inspection, Origin},
    prepared::Prepared,
    refusal::{self, PREVIEW1},
    wasm_engine::{self, WASMTIME},
};

/// The world that a hand-written core module is taken to implement.
const WIT: &str = include_str!("../../../sdk/wit/v1/stateflow-plugin.wit");

/// How a plugin is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// A component of the world `stateflow:plugin/step`.
    Step,
    /// A component of the world `stateflow:plugin/step-minimal`: one function.
    Minimal,
    /// A WASI preview 1 program that this host has adapted.
    #[serde(rename = "command-p1")]
    CommandP1,
    /// A WASI 0.2 `command` component.
    #[serde(rename = "command-p2")]
    CommandP2,
}

/// What a plugin of the world `step` says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Such as `team/slugify`.
    pub name: String,
    /// A semantic version.
    pub version: String,
    /// One sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of the resolved config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// The JSON Schema of the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// What it asks for by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Requested>,
}

/// An upload that can run here.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// `sha256:` and the hex digest of the uploaded bytes.
    pub digest: String,
    /// What is compiled: the upload, or the upload with an adapter around it.
    pub component: Vec<u8>,
    /// The digest of `component`.
    pub component_digest: String,
    /// How it is spoken to.
    pub kind: PluginKind,
    /// The interfaces that the component imports, the adapter's included.
    pub imports: Vec<String>,
    /// The kinds of thing that the author's own code can reach, derived from what it imports.
    pub capabilities: BTreeSet<CapabilityKind>,
    /// What the plugin says about itself; only the world `step` has a way to.
    pub manifest: Option<Manifest>,
    /// The compiled plugin.
    pub prepared: Prepared,
}

/// An upload in the form that is compiled. Nothing of it has run yet.
#[derive(Debug)]
pub(crate) struct Adapted {
    pub(crate) component: Vec<u8>,
    pub(crate) surface: Surface,
}

/// What an upload is, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Surface {
    pub(crate) kind: PluginKind,
    pub(crate) imports: Vec<String>,
    pub(crate) capabilities: BTreeSet<CapabilityKind>,
}

/// `sha256:` and the hex digest.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Checks an upload and turns it into a component. Pure and without network, but not quick: for a
/// blocking thread.
pub(crate) fn adapt(upload: &[u8], settings: &BuildSettings) -> Result<Adapted, SandboxError> {
    refusal::check_bytes(upload, settings)?;
    let inspection = Inspection::of(upload, settings)?;
    refusal::check_origin(&inspection)?;
    validate(upload)?;
    if inspection.is_component {
        return surface(upload.to_vec(), &inspection, None);
    }
    let component = encode(upload, &inspection)?;
    let adapted = Inspection::of(&component, settings)?;
    refusal::check_origin(&adapted)?;
    surface(component, &adapted, Some(&inspection))
}

/// A component that was adapted before, such as one that another machine has stored.
pub(crate) fn adapted(component: &[u8], settings: &BuildSettings) -> Result<Adapted, SandboxError> {
    let inspection = Inspection::of(component, settings)?;
    refusal::check_origin(&inspection)?;
    surface(component.to_vec(), &inspection, None)
}

/// How a component is spoken to, judged by its exports.
fn kind_of(inspection: &Inspection) -> Result<PluginKind, SandboxError> {
    let has = |name: &str| inspection.exports.iter().any(|export| export == name);
    let runs = inspection.exports.iter().any(|export| export.starts_with("wasi:cli/run@0.2."));
    match (has("run"), has("describe"), runs) {
        (true, true, _) => Ok(PluginKind::Step),
        (true, false, _) => Ok(PluginKind::Minimal),
        (false, _, true) if inspection.origin == Origin::Adapter => Ok(PluginKind::CommandP1),
        (false, _, true) => Ok(PluginKind::CommandP2),
        (false, _, false) => Err(no_entry()),
    }
}

fn surface(
    component: Vec<u8>,
    inspection: &Inspection,
    original: Option<&Inspection>,
) -> Result<Adapted, SandboxError> {
    let kind = kind_of(inspection)?;
    let capabilities = match original {
        // The adapter imports half of WASI; what counts is what the author's code can call.
        Some(core) if core.core_imports.iter().any(|(module, _)| module == PREVIEW1) => {
            core_capabilities(core)
        }
        _ => inspection.imports.iter().filter_map(|import| capability(import)).collect(),
    };
    let surface = Surface { kind, imports: inspection.imports.clone(), capabilities };
    Ok(Adapted { component, surface })
}

/// What an interface lets its importer do.
fn capability(import: &str) -> Option<CapabilityKind> {
    use CapabilityKind as Kind;
    match import.split('@').next()? {
        "stateflow:plugin/log" => Some(Kind::Log),
        "stateflow:plugin/http" | "wasi:http/outgoing-handler" => Some(Kind::Http),
        "stateflow:plugin/secrets" => Some(Kind::Secret),
        "stateflow:plugin/signing" => Some(Kind::Sign),
        "stateflow:plugin/revealing" => Some(Kind::Reveal),
        "stateflow:plugin/blob" => Some(Kind::Blob),
        "stateflow:plugin/progress" => Some(Kind::Progress),
        name if name.starts_with("wasi:clocks/") => Some(Kind::Clock),
        name if name.starts_with("wasi:random/") => Some(Kind::Random),
        _ => None,
    }
}

fn core_capabilities(core: &Inspection) -> BTreeSet<CapabilityKind> {
    let kinds = core.core_imports.iter().filter_map(|(module, name)| {
        match (module.as_str(), name.as_str()) {
            (PREVIEW1, "clock_time_get" | "clock_res_get" | "poll_oneoff") => {
                Some(CapabilityKind::Clock)
            }
            (PREVIEW1, "random_get") => Some(CapabilityKind::Random),
            (PREVIEW1, _) => None,
            (interface, _) => capability(interface),
        }
    });
    kinds.collect()
}

fn validate(upload: &[u8]) -> Result<(), SandboxError> {
    Validator::new_with_features(wasm_engine::features()).validate_all(upload).map(drop).map_err(|error| {
        let help = if error.message().contains("async") || error.message().contains("stream") {
            "rebuild it without component model async, such as `componentize-qjs --sync`"
        } else {
            "build it without proposals beyond WebAssembly 2.0, or report a fault in its toolchain"
        };
        SandboxError::invalid("PLUGIN_INVALID", format!("plugin is not valid wasm: {error}"), help)
    })
}

fn encode(core: &[u8], inspection: &Inspection) -> Result<Vec<u8>, SandboxError> {
    let exports = |name: &str| inspection.core_exports.iter().any(|export| export == name);
    let is_command = exports("_start") && !exports("run");
    if !is_command && inspection.origin != Origin::WitBindgen && !exports("run") {
        return Err(no_entry());
    }
    let mut core = if is_command { exit_code::keep(core)? } else { core.to_vec() };
    if !is_command && inspection.origin != Origin::WitBindgen {
        embed_minimal_world(&mut core)?;
    }
    let adapter = if is_command {
        adapters::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER
    } else {
        adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
    };
    let mut component = ComponentEncoder::default()
        .validate(true)
        .module(&core)
        .and_then(|encoder| encoder.adapter(adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter))
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| {
            SandboxError::invalid(
                "PLUGIN_NOT_ADAPTABLE",
                format!("plugin cannot be turned into a component: {error:#}"),
                "build it for the world step or step-minimal of stateflow:plugin, or as a WASI program",
            )
        })?;
    if is_command {
        mark_adapted(&mut component);
    }
    Ok(component)
}

/// Lets a core module with the canonical names of `step-minimal` do without wit-bindgen.
fn embed_minimal_world(core: &mut Vec<u8>) -> Result<(), SandboxError> {
    let embedded = (|| {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("stateflow-plugin.wit", WIT)?;
        let world = resolve.select_world(&[package], Some("step-minimal"))?;
        wit_component::embed_component_metadata(core, &resolve, world, StringEncoding::UTF8)
    })();
    embedded.map_err(|error| {
        SandboxError::invalid(
            "PLUGIN_NOT_ADAPTABLE",
            format!("plugin cannot be given the world step-minimal: {error:#}"),
            "build it with the SDK of its language",
        )
    })
}

/// Notes the adapter and its version in the component, so that they are part of its digest.
fn mark_adapted(component: &mut Vec<u8>) {
    let adapter = format!("wasi-preview1-command {WASMTIME}");
    let name = ADAPTER_SECTION.as_bytes();
    // All lengths are below 128, hence one byte in LEB128.
    let byte = |length: usize| u8::try_from(length).expect("a name and a version are short");
    component.push(0);
    component.push(byte(1 + name.len() + adapter.len()));
    component.push(byte(name.len()));
    component.extend_from_slice(name);
    component.extend_from_slice(adapter.as_bytes());
}

fn no_entry() -> SandboxError {
    SandboxError::invalid(
        "PLUGIN_NO_ENTRY",
        "plugin exports nothing to call: neither `run`, nor `wasi:cli/run`, nor `_start`",
        "build it for the world step or step-minimal of stateflow:plugin, or as a WASI program",
    )
}
