//! One pass over an upload's bytes: what it is, what it asks for, and whether its shape would hurt
//! a compiler.
//!
//! Parsing only. Whether the module is valid is the validator's question, whether it is welcome
//! `refusal`'s.

use wasmparser::{
    ComponentTypeRef, Encoding, FunctionBody, Operator, Parser, Payload, TableSectionReader,
    TypeRef,
};

use crate::{
    config::{BuildSettings, ShapeLimits, WASM_PAGE},
    error::SandboxError,
};

/// The custom section that says which adapter this host has put around a core module.
pub(crate) const ADAPTER_SECTION: &str = "stateflow:adapter";

/// What an upload is made of.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    pub(crate) is_component: bool,
    /// `(module, name)` of a core module's imports.
    pub(crate) core_imports: Vec<(String, String)>,
    /// A core module's exports.
    pub(crate) core_exports: Vec<String>,
    /// A component's imports.
    pub(crate) imports: Vec<String>,
    /// A component's exports.
    pub(crate) exports: Vec<String>,
    /// What a custom section says about where it comes from.
    pub(crate) origin: Origin,
    pub(crate) has_shared_memory: bool,
    /// Initial linear memory of all memories together.
    pub(crate) memory_bytes: u64,
    depth: u32,
    counts: Counts,
}

/// Where an upload comes from, as far as its custom sections say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// They say nothing.
    #[default]
    Unknown,
    /// wit-bindgen left a description of the world.
    WitBindgen,
    /// This host has adapted it from a preview 1 program.
    Adapter,
}

#[derive(Debug, Default)]
struct Counts {
    functions: u32,
    modules: u32,
    memories: u32,
    tables: u32,
    table_elements: u64,
}

impl Inspection {
    pub(crate) fn of(bytes: &[u8], settings: &BuildSettings) -> Result<Self, SandboxError> {
        let mut inspection = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(malformed)?;
            inspection.take(&payload, &settings.shape)?;
        }
        inspection.check_totals(settings)?;
        Ok(inspection)
    }

    fn take(&mut self, payload: &Payload<'_>, limits: &ShapeLimits) -> Result<(), SandboxError> {
        match payload {
            Payload::Version { encoding, .. } => self.enter(*encoding, limits)?,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import.map_err(malformed)?;
                    self.core_import(import.module, import.name, import.ty);
                }
            }
            Payload::ExportSection(section) if self.depth == 1 => {
                for export in section.clone() {
                    self.core_exports.push(export.map_err(malformed)?.name.to_owned());
                }
            }
            Payload::ComponentImportSection(section) if self.depth == 1 => {
                for import in section.clone() {
                    let import = import.map_err(malformed)?;
                    // A type is imported by name and can do nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        self.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 1 => {
                for export in section.clone() {
                    self.exports.push(export.map_err(malformed)?.name.name.to_owned());
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.clone() {
                    self.memory(memory.map_err(malformed)?);
                }
            }
            Payload::TableSection(section) => self.tables(section)?,
            Payload::DataSection(section) => {
                within("data segments", section.count(), limits.data_segments)?;
            }
            Payload::CodeSectionEntry(body) => {
                self.counts.functions = self.counts.functions.saturating_add(1);
                within("functions", self.counts.functions, limits.functions)?;
                check_body(body, limits)?;
            }
            Payload::CustomSection(section) if self.depth == 1 => {
                if section.name().starts_with("component-type") {
                    self.origin = Origin::WitBindgen;
                } else if section.name() == ADAPTER_SECTION {
                    self.origin = Origin::Adapter;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self, encoding: Encoding, limits: &ShapeLimits) -> Result<(), SandboxError> {
        if self.depth == 0 {
            self.is_component = encoding == Encoding::Component;
        }
        self.depth += 1;
        self.counts.modules = self.counts.modules.saturating_add(1);
        within("modules", self.counts.modules, limits.modules)
    }

    fn core_import(&mut self, module: &str, name: &str, ty: TypeRef) {
        if let TypeRef::Memory(memory) = ty {
            self.has_shared_memory |= memory.shared;
        }
        if self.depth == 1 {
            self.core_imports.push((module.to_owned(), name.to_owned()));
        }
    }

    fn memory(&mut self, memory: wasmparser::MemoryType) {
        self.has_shared_memory |= memory.shared;
        self.counts.memories = self.counts.memories.saturating_add(1);
        self.memory_bytes =
            self.memory_bytes.saturating_add(memory.initial.saturating_mul(WASM_PAGE));
    }

    fn tables(&mut self, section: &TableSectionReader<'_>) -> Result<(), SandboxError> {
        for table in section.clone() {
            let table = table.map_err(malformed)?;
            self.counts.tables = self.counts.tables.saturating_add(1);
            self.counts.table_elements =
                self.counts.table_elements.saturating_add(table.ty.initial);
        }
        Ok(())
    }

    fn check_totals(&self, settings: &BuildSettings) -> Result<(), SandboxError> {
        let limits = &settings.shape;
        within("memories", self.counts.memories, limits.memories)?;
        within("tables", self.counts.tables, limits.tables)?;
        let elements = u32::try_from(self.counts.table_elements).unwrap_or(u32::MAX);
        within("table elements", elements, limits.table_elements)?;
        let most = settings.max_memory_bytes;
        if self.memory_bytes > most {
            return Err(SandboxError::invalid(
                "PLUGIN_MEMORY_LIMIT",
                format!(
                    "plugin starts with {} bytes of memory, the limit is {most}",
                    self.memory_bytes
                ),
                "lower its initial memory; with zig cc or clang: -Wl,-z,stack-size=65536",
            ));
        }
        Ok(())
    }
}

fn check_body(body: &FunctionBody<'_>, limits: &ShapeLimits) -> Result<(), SandboxError> {
    let size = u32::try_from(body.range().len()).unwrap_or(u32::MAX);
    within("bytes in one function", size, limits.body_bytes)?;
    let mut locals = 0_u32;
    for local in body.get_locals_reader().map_err(malformed)? {
        locals = locals.saturating_add(local.map_err(malformed)?.0);
    }
    within("locals in one function", locals, limits.locals)?;
    let (mut depth, mut deepest, mut blocks, mut targets) = (0_u32, 0_u32, 0_u32, 0_u32);
    for operator in body.get_operators_reader().map_err(malformed)? {
        match operator.map_err(malformed)? {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. } => {
                blocks = blocks.saturating_add(1);
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            Operator::End => depth = depth.saturating_sub(1),
            Operator::BrTable { targets: table } => targets = targets.saturating_add(table.len()),
            _ => {}
        }
    }
    within("blocks in one function", blocks, limits.blocks)?;
    within("nested blocks", deepest, limits.nesting)?;
    within("branch table targets in one function", targets, limits.branch_targets)
}

fn within(what: &str, count: u32, most: u32) -> Result<(), SandboxError> {
    if count <= most {
        return Ok(());
    }
    Err(SandboxError::invalid(
        "PLUGIN_TOO_COMPLEX",
        format!("plugin has {count} {what}, the limit is {most}"),
        "split it, build it with size optimisation, or ask the operator for a higher limit",
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
pub(crate) fn malformed(error: wasmparser::BinaryReaderError) -> SandboxError {
    SandboxError::invalid(
        "PLUGIN_MALFORMED",
        format!("plugin is not well-formed wasm: {error}"),
        "it may have been cut off or damaged on its way; build and upload it again",
    )
}
