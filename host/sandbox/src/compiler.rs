//! Turns bytes into plugins that can be called: from memory, from disk, or built, a few at a time and not for ever;
//! and remembers the results, the refusals too.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use tokio::{sync::oneshot, time};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use crate::{
    admission::{self, Surface},
    artifacts::{self, Artifacts, Refusal},
    building::{self, Built, Order},
    compile_process::{self, Instructions, NotBuilt, STACK},
    config::{Isolation, SandboxConfig},
    error::SandboxError,
    guest::{self, Guest},
    prepared::{CompileReceipt, Prepared},
    turns::{Share, Turns},
    wasm_engine::{Tier, WasmEngine},
};

/// Refusals that are remembered in memory.
const KEPT_REFUSALS: u64 = 10_000;

/// See the module.
pub(crate) struct Compiler {
    engine: Engine,
    linker: Linker<Guest>,
    artifacts: Option<Arc<Artifacts>>,
    ready: Cache<String, Prepared>,
    refusals: Cache<String, Refusal>,
    turns: Turns,
    config: Arc<SandboxConfig>,
}

/// A plugin, and the component that it was made of.
pub(crate) struct Made {
    pub(crate) component: Vec<u8>,
    pub(crate) surface: Surface,
    pub(crate) plugin: Prepared,
}

impl Compiler {
    pub(crate) fn new(
        wasm: &WasmEngine,
        config: &Arc<SandboxConfig>,
    ) -> Result<Self, SandboxError> {
        let mut linker = Linker::new(&wasm.engine);
        guest::link(&mut linker).map_err(SandboxError::Engine)?;
        let artifacts = config
            .cache_dir
            .clone()
            .map(|dir| Artifacts::open(dir, config, wasm.compatibility()).map(Arc::new))
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
            refusals: Cache::new(KEPT_REFUSALS),
            turns: Turns::new(config.max_concurrent_compiles),
            config: Arc::clone(config),
        })
    }

    /// The plugin of this component, if its machine code is in memory.
    pub(crate) fn ready(&self, component_digest: &str) -> Option<Prepared> {
        self.ready.get(component_digest)
    }

    /// The plugin of this component, if its machine code is in memory or on disk.
    pub(crate) async fn cached(&self, component_digest: &str) -> Option<Prepared> {
        if let Some(plugin) = self.ready(component_digest) {
            return Some(plugin);
        }
        let (artifacts, engine) = (Arc::clone(self.artifacts.as_ref()?), self.engine.clone());
        let digest = component_digest.to_owned();
        let start = Instant::now();
        let loading = tokio::task::spawn_blocking(move || artifacts.load(&engine, &digest));
        let loaded = loading.await.ok().flatten()?;
        let receipt = receipt(&loaded.component, start.elapsed(), loaded.tier, true);
        let digest = component_digest.to_owned();
        let linked = Prepared::link(&self.linker, &loaded.component, digest, loaded.kind, receipt);
        // Code of an older build may want what is no longer linked: it is built again and told so.
        let plugin = linked.ok()?;
        self.ready.insert(component_digest.to_owned(), plugin.clone());
        Some(plugin)
    }

    /// The plugin of a component: cached, or built.
    pub(crate) async fn prepare(
        &self,
        namespace: &str,
        component: &[u8],
    ) -> Result<Prepared, SandboxError> {
        let digest = admission::digest(component);
        if let Some(plugin) = self.cached(&digest).await {
            return Ok(plugin);
        }
        self.make(namespace, Order::Component, component).await.map(|made| made.plugin)
    }

    /// Builds, within the time that a caller waits, its turn included.
    pub(crate) async fn make(
        &self,
        namespace: &str,
        order: Order,
        bytes: &[u8],
    ) -> Result<Made, SandboxError> {
        let digest = admission::digest(bytes);
        if let Some(refusal) = self.known_refusal(&digest) {
            return Err(refusal.into());
        }
        let start = Instant::now();
        let building = async {
            let _turn = self.turns.take(namespace, &digest.as_str().into(), Share::WHOLE).await;
            self.build(order, bytes, &digest).await
        };
        let late = |_| SandboxError::CompileTimeout {
            digest: digest.clone(),
            seconds: self.config.compile_timeout.as_secs(),
        };
        let built = time::timeout(self.config.compile_timeout, building).await.map_err(late)??;
        self.adopt(built, start.elapsed()).await
    }

    /// With all optimisations; if that is too dear, with none; if that is too dear, never again.
    async fn build(&self, order: Order, bytes: &[u8], digest: &str) -> Result<Built, SandboxError> {
        let mut reason = String::new();
        for tier in Tier::ALL {
            match self.build_at(tier, order, bytes).await {
                Ok(built) => return Ok(built),
                Err(NotBuilt::Refused(error)) => return Err(error),
                Err(NotBuilt::Spent(what)) => reason = format!("it used up the {what} it may use"),
                Err(NotBuilt::Crashed(how)) => reason = format!("the compiler died of it: {how}"),
            }
            tracing::info!(digest, tier = tier.as_str(), reason, "a plugin is too dear to compile");
        }
        let refusal = Refusal::too_expensive(&reason);
        self.refusals.insert(digest.to_owned(), refusal.clone());
        if let Some(artifacts) = &self.artifacts {
            artifacts.refuse(digest, &refusal);
        }
        Err(refusal.into())
    }

    async fn build_at(&self, tier: Tier, order: Order, bytes: &[u8]) -> Result<Built, NotBuilt> {
        let settings = self.config.build_settings();
        match &self.config.isolation {
            Isolation::Process { program, arguments } => {
                let told = Instructions { order, tier, settings, limits: self.config.compile };
                compile_process::build(program, arguments, &told, bytes).await
            }
            Isolation::Thread => {
                let bytes = bytes.to_vec();
                on_a_thread(move || building::build(order, &bytes, &settings, tier)).await
            }
        }
    }

    fn known_refusal(&self, digest: &str) -> Option<Refusal> {
        self.refusals.get(digest).or_else(|| self.artifacts.as_ref()?.refusal(digest))
    }

    async fn adopt(&self, built: Built, took: Duration) -> Result<Made, SandboxError> {
        let admission::Adapted { component, surface } = built.adapted;
        let digest = admission::digest(&component);
        let (engine, kind, tier) = (self.engine.clone(), surface.kind, built.tier);
        let (artifacts, code) = (self.artifacts.clone(), built.code);
        let keep_as = digest.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let component = artifacts::load_own(&engine, &code);
            if let (Ok(_), Some(artifacts)) = (&component, artifacts) {
                artifacts.store(&keep_as, tier, kind, &code);
            }
            component
        });
        let died = |error: String| SandboxError::System {
            action: "load a compiled plugin".into(),
            source: std::io::Error::other(error),
        };
        let loaded = loading.await.map_err(|error| died(error.to_string()))?;
        let loaded = loaded.map_err(|error| died(format!("{error:#}")))?;
        let receipt = receipt(&loaded, took, tier, false);
        let plugin = Prepared::link(&self.linker, &loaded, digest.clone(), kind, receipt)?;
        self.ready.insert(digest, plugin.clone());
        Ok(Made { component, surface, plugin })
    }
}

/// Runs on a thread with a stack that is deep enough. A caller that gives up does not stop it.
async fn on_a_thread(
    work: impl FnOnce() -> Result<Built, SandboxError> + Send + 'static,
) -> Result<Built, NotBuilt> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new()
        .name("wasm-compile".into())
        .stack_size(STACK)
        // The receiver may be gone.
        .spawn(move || drop(answer.send(work())))
        .map_err(|source| SandboxError::System { action: "start a thread".into(), source })?;
    match answered.await {
        Ok(built) => built.map_err(NotBuilt::Refused),
        Err(_) => Err(NotBuilt::Crashed("it panicked".into())),
    }
}

fn receipt(component: &Component, took: Duration, tier: Tier, cached: bool) -> CompileReceipt {
    // Built at the first instantiation otherwise, which is somebody's attempt.
    if let Err(error) = component.initialize_copy_on_write_image() {
        tracing::warn!(%error, "cannot build the memory image of a plugin ahead of its first call");
    }
    let image = component.image_range();
    CompileReceipt {
        ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        tier,
        bytes: (image.end.addr() - image.start.addr()) as u64,
        cached,
    }
}
