//! A compiled plugin with its imports resolved: everything that attempts of it can share.

use std::sync::Arc;

use serde::Serialize;
use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre, Linker},
};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::{
    admission::PluginKind,
    bindings::{
        minimal::StepMinimalPre,
        step::{StepPre, stateflow::plugin::types::Call, stateflow::plugin::types::StepError},
    },
    error::SandboxError,
    guest::Guest,
    wasm_engine::Tier,
};

/// What compiling a plugin cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CompileReceipt {
    /// Milliseconds to compile it, or to load it from the cache.
    pub ms: u64,
    /// The optimisation level.
    pub tier: Tier,
    /// Bytes of machine code and its tables.
    pub bytes: u64,
    /// Whether it came from the cache on disk.
    pub cached: bool,
}

/// A plugin that is ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Prepared(Arc<Inner>);

struct Inner {
    digest: Arc<str>,
    kind: PluginKind,
    receipt: CompileReceipt,
    engine: Engine,
    entry: Entry,
}

enum Entry {
    Step(StepPre<Guest>),
    Minimal(StepMinimalPre<Guest>),
    Command(CommandPre<Guest>),
}

/// How the guest's code ended when it was not interrupted.
pub(crate) enum Ending {
    /// `step` and `step-minimal`: the output, as JSON text.
    Output(String),
    /// `step`: the typed error.
    StepError(StepError),
    /// `step-minimal`: the error's text.
    MinimalError(String),
    /// A program that returned from its main function; whether with success.
    Returned(bool),
}

impl Prepared {
    pub(crate) fn link(
        linker: &Linker<Guest>,
        component: &Component,
        digest: String,
        kind: PluginKind,
        receipt: CompileReceipt,
    ) -> Result<Self, SandboxError> {
        let entry = linker
            .instantiate_pre(component)
            .and_then(|pre| Entry::of(kind, pre))
            .map_err(incompatible)?;
        let engine = component.engine().clone();
        Ok(Self(Arc::new(Inner { digest: digest.into(), kind, receipt, engine, entry })))
    }

    /// `sha256:` and the hex digest of the component.
    pub fn component_digest(&self) -> &Arc<str> {
        &self.0.digest
    }

    /// How the plugin is spoken to.
    pub fn kind(&self) -> PluginKind {
        self.0.kind
    }

    /// What compiling it cost.
    pub fn receipt(&self) -> CompileReceipt {
        self.0.receipt
    }

    /// Whether it reads its input from stdin and has an environment.
    pub(crate) fn is_program(&self) -> bool {
        matches!(self.0.entry, Entry::Command(_))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Instantiates the plugin and runs it to its end. Dropping the future stops the guest.
    pub(crate) async fn execute(
        &self,
        store: &mut Store<Guest>,
        call: &Call,
        input: &str,
    ) -> wasmtime::Result<Ending> {
        match &self.0.entry {
            Entry::Step(pre) => {
                let plugin = pre.instantiate_async(&mut *store).await?;
                let result = plugin.call_run(store, call, input).await?;
                Ok(result.map_or_else(Ending::StepError, Ending::Output))
            }
            Entry::Minimal(pre) => {
                let plugin = pre.instantiate_async(&mut *store).await?;
                let result = plugin.call_run(store, input).await?;
                Ok(result.map_or_else(Ending::MinimalError, Ending::Output))
            }
            Entry::Command(pre) => {
                let program = pre.instantiate_async(&mut *store).await?;
                let result = program.wasi_cli_run().call_run(store).await?;
                Ok(Ending::Returned(result.is_ok()))
            }
        }
    }

    /// The manifest's text, from plugins that have one.
    pub(crate) async fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Ending> {
        let Entry::Step(pre) = &self.0.entry else {
            return Err(wasmtime::format_err!("the plugin has no `describe`"));
        };
        let plugin = pre.instantiate_async(&mut *store).await?;
        plugin.call_describe(store).await.map(Ending::Output)
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("digest", &self.0.digest)
            .field("kind", &self.0.kind)
            .field("receipt", &self.0.receipt)
            .finish_non_exhaustive()
    }
}

impl Entry {
    fn of(kind: PluginKind, pre: InstancePre<Guest>) -> wasmtime::Result<Self> {
        match kind {
            PluginKind::Step => StepPre::new(pre).map(Self::Step),
            PluginKind::Minimal => StepMinimalPre::new(pre).map(Self::Minimal),
            PluginKind::CommandP1 | PluginKind::CommandP2 => {
                CommandPre::new(pre).map(Self::Command)
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn incompatible(error: wasmtime::Error) -> SandboxError {
    SandboxError::invalid(
        "PLUGIN_INCOMPATIBLE",
        format!("plugin does not fit this host's interfaces: {error:#}"),
        "rebuild it against stateflow:plugin@1 and WASI 0.2",
    )
}
