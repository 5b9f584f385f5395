//! Turns components into machine code, a few at a time and not for ever, and remembers the results.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time,
};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use crate::{
    admission::{self, PluginKind},
    artifacts::Artifacts,
    config::SandboxConfig,
    error::SandboxError,
    guest::{self, Guest},
    inspection::Inspection,
    prepared::{CompileReceipt, Prepared},
    wasm_engine::{TIER, WasmEngine},
};

/// The compiler recurses over the guest's nesting.
const COMPILER_STACK: usize = 64 << 20;

/// See the module.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<Guest>,
    artifacts: Option<Arc<Artifacts>>,
    ready: Cache<String, Prepared>,
    turns: Arc<Semaphore>,
    timeout: Duration,
}

impl Compiler {
    pub(crate) fn new(wasm: &WasmEngine, config: &SandboxConfig) -> Result<Self, SandboxError> {
        let mut linker = Linker::new(&wasm.engine);
        guest::link(&mut linker).map_err(SandboxError::Engine)?;
        let artifacts = config
            .cache_dir
            .clone()
            .map(|dir| Artifacts::open(dir, config.cache_key, wasm.compatibility()).map(Arc::new))
            .transpose()?;
        let ready = Cache::builder()
            .weigher(|_, plugin: &Prepared| {
                u32::try_from(plugin.receipt().bytes).unwrap_or(u32::MAX)
            })
            .max_capacity(config.code_cache_bytes)
            .build();
        Ok(Self {
            engine: wasm.engine.clone(),
            linker,
            artifacts,
            ready,
            turns: Arc::new(Semaphore::new(config.max_concurrent_compiles)),
            timeout: config.compile_timeout,
        })
    }

    /// The plugin, if its machine code is in memory.
    pub(crate) fn ready(&self, digest: &str) -> Option<Prepared> {
        self.ready.get(digest)
    }

    /// The plugin, from memory, from disk or from the compiler.
    pub(crate) async fn prepare(
        &self,
        component: &[u8],
        config: &Arc<SandboxConfig>,
    ) -> Result<Prepared, SandboxError> {
        let digest = admission::digest(component);
        if let Some(plugin) = self.ready(&digest) {
            return Ok(plugin);
        }
        let late = || SandboxError::CompileTimeout {
            digest: digest.clone(),
            seconds: self.timeout.as_secs(),
        };
        let work = Compilation {
            engine: self.engine.clone(),
            artifacts: self.artifacts.clone(),
            config: Arc::clone(config),
            digest: digest.clone(),
            wasm: component.to_vec(),
        };
        let compiled = time::timeout(self.timeout, self.take_turn(work));
        let Compiled { component, kind, receipt } = match compiled.await.map_err(|_| late())?? {
            Turn::Compiled(compiled) => compiled,
            Turn::Unneeded(plugin) => return Ok(plugin),
        };
        let plugin = Prepared::link(&self.linker, &component, digest.clone(), kind, receipt)?;
        self.ready.insert(digest, plugin.clone());
        Ok(plugin)
    }

    async fn take_turn(&self, work: Compilation) -> Result<Turn, SandboxError> {
        let turns = Arc::clone(&self.turns);
        let permit = turns.acquire_owned().await.expect("the semaphore is never closed");
        // Whoever waited for the same plugin finds it done.
        if let Some(plugin) = self.ready(&work.digest) {
            return Ok(Turn::Unneeded(plugin));
        }
        work.on_a_thread(permit).await.map(Turn::Compiled)
    }
}

enum Turn {
    Compiled(Compiled),
    Unneeded(Prepared),
}

struct Compilation {
    engine: Engine,
    artifacts: Option<Arc<Artifacts>>,
    config: Arc<SandboxConfig>,
    digest: String,
    wasm: Vec<u8>,
}

struct Compiled {
    component: Component,
    kind: PluginKind,
    receipt: CompileReceipt,
}

impl Compilation {
    async fn on_a_thread(self, permit: OwnedSemaphorePermit) -> Result<Compiled, SandboxError> {
        let digest = self.digest.clone();
        let (answer, answered) = oneshot::channel();
        let work = move || {
            // A caller that gave up does not stop the compiler, so its turn lasts until the
            // compiler is done.
            let _turn = permit;
            // The receiver may be gone; the artifact on disk is not wasted.
            drop(answer.send(self.load_or_compile()));
        };
        thread::Builder::new()
            .name("wasm-compile".into())
            .stack_size(COMPILER_STACK)
            .spawn(work)
            .map_err(|source| SandboxError::System { action: "start a thread".into(), source })?;
        answered.await.unwrap_or(Err(SandboxError::CompilerDied { digest }))
    }

    fn load_or_compile(&self) -> Result<Compiled, SandboxError> {
        let start = Instant::now();
        let kind = admission::kind_of(&Inspection::of(&self.wasm, &self.config)?)?;
        let (component, cached) = self.code()?;
        let receipt = receipt(&component, start, cached);
        Ok(Compiled { component, kind, receipt })
    }

    fn code(&self) -> Result<(Component, bool), SandboxError> {
        let stored = self.artifacts.as_ref();
        if let Some(component) = stored.and_then(|it| it.load(&self.engine, &self.digest, TIER)) {
            return Ok((component, true));
        }
        let component = Component::from_binary(&self.engine, &self.wasm).map_err(|error| {
            SandboxError::invalid(
                "PLUGIN_NOT_COMPILABLE",
                format!("plugin cannot be compiled: {error:#}"),
                "make it smaller or simpler",
            )
        })?;
        if let Some(artifacts) = stored {
            match component.serialize() {
                Ok(code) => artifacts.store(&self.digest, TIER, &code),
                Err(error) => tracing::warn!(%error, "cannot serialize a compiled plugin"),
            }
        }
        Ok((component, false))
    }
}

fn receipt(component: &Component, start: Instant, cached: bool) -> CompileReceipt {
    // Built at the first instantiation otherwise, which is somebody's attempt.
    if let Err(error) = component.initialize_copy_on_write_image() {
        tracing::warn!(%error, "cannot build the memory image of a plugin ahead of its first call");
    }
    let image = component.image_range();
    CompileReceipt {
        ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        tier: TIER,
        bytes: (image.end.addr() - image.start.addr()) as u64,
        cached,
    }
}
