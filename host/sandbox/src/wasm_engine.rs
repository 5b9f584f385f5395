//! The one wasmtime engine of a sandbox: which proposals exist, how guests are metered, where
//! instances live.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    Strategy, WasmBacktraceDetails, WasmFeatures,
};

use crate::{config::SandboxConfig, error::SandboxError};

/// The version that artifacts and adapters belong to; wasmtime does not say its own.
pub(crate) const WASMTIME: &str = "48.0.8";

/// The optimisation level. Part of cache keys and receipts: wasmtime ignores it when it checks whether an artifact
/// fits, which is what lets the outputs of both run in one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// All optimisations.
    Speed,
    /// None: for modules that make an optimising compiler slow. Their code runs at about half the speed.
    None,
}

impl Tier {
    /// In the order in which they are tried.
    pub(crate) const ALL: [Self; 2] = [Self::Speed, Self::None];

    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Speed => "speed",
            Self::None => "none",
        }
    }
}

/// Stack of one attempt, the host functions' part included.
const FIBER_STACK: usize = 2 << 20;

/// See the module.
pub(crate) struct WasmEngine {
    pub(crate) engine: Engine,
}

impl WasmEngine {
    pub(crate) fn new(config: &SandboxConfig) -> Result<Self, SandboxError> {
        let mut settings = settings(config.stack_bytes, Tier::Speed);
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
        let engine = match Engine::new(&settings) {
            Ok(engine) => engine,
            Err(error) => {
                // Containers with little address space cannot reserve the pool. Slower, but the
                // same limits hold.
                tracing::warn!(
                    %error,
                    "cannot reserve a pool of wasm instances; allocating them one by one"
                );
                settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
                Engine::new(&settings).map_err(SandboxError::Engine)?
            }
        };
        Ok(Self { engine })
    }

    /// An engine that compiles for the other one, and in which nothing runs: it reserves no pool.
    pub(crate) fn compiler(stack_bytes: usize, tier: Tier) -> Result<Self, SandboxError> {
        let mut settings = settings(stack_bytes, tier);
        settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&settings).map(|engine| Self { engine }).map_err(SandboxError::Engine)
    }

    /// A digest of everything that decides whether machine code fits this engine.
    pub(crate) fn compatibility(&self) -> [u8; 32] {
        let mut hasher = DigestHasher(Sha256::new());
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.0.finalize().into()
    }
}

/// The proposals that guests may use, for the validator and the engine alike: WebAssembly 2.0,
/// components, and what today's toolchains emit besides. Everything else stays out of their reach.
pub(crate) fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        .union(WasmFeatures::COMPONENT_MODEL)
        .union(WasmFeatures::EXTENDED_CONST)
        .union(WasmFeatures::MULTI_MEMORY)
        .union(WasmFeatures::TAIL_CALL)
        .difference(WasmFeatures::GC_TYPES)
}

fn settings(stack_bytes: usize, tier: Tier) -> Config {
    let mut settings = Config::new();
    // Fuel is the budget; the epoch is only the tick at which a guest can be preempted or stopped.
    settings.consume_fuel(true).epoch_interruption(true);
    settings.max_wasm_stack(stack_bytes).async_stack_size(FIBER_STACK);
    settings.async_stack_zeroing(true);
    settings.wasm_features(features().complement(), false).wasm_features(features(), true);
    settings.shared_memory(false).concurrency_support(false);
    let level = match tier {
        Tier::Speed => OptLevel::Speed,
        Tier::None => OptLevel::None,
    };
    settings.strategy(Strategy::Cranelift).cranelift_opt_level(level);
    // Debug information of a stranger's module is not parsed, and the environment has no say in it.
    settings.wasm_backtrace_details(WasmBacktraceDetails::Disable).native_unwind_info(false);
    settings.memory_init_cow(true).memory_guaranteed_dense_image_size(32 << 20);
    settings
}

fn pool(config: &SandboxConfig) -> PoolingAllocationConfig {
    let calls = config.max_concurrent_calls;
    let shape = &config.shape;
    let memory = usize::try_from(config.ceilings.memory_bytes).unwrap_or(usize::MAX);
    let mut pool = PoolingAllocationConfig::new();
    // Sized so that the semaphore in front of the calls is always the one that makes them wait.
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(shape.modules))
        .total_memories(calls.saturating_mul(shape.memories))
        .total_tables(calls.saturating_mul(shape.tables))
        .total_stacks(calls)
        .max_core_instances_per_component(shape.modules)
        .max_memories_per_component(shape.memories)
        .max_memories_per_module(shape.memories)
        .max_tables_per_component(shape.tables)
        .max_tables_per_module(shape.tables)
        .max_memory_size(memory)
        .table_elements(shape.table_elements as usize)
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(4 << 20);
    // Keeping a little of each slot resident saves the page faults of the next attempt; it is
    // zeroed in between.
    pool.max_unused_warm_slots(calls / 4)
        .decommit_batch_size(16)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Feeds `Hash` into SHA-256: std's hashers are neither specified nor long enough for a file that
/// outlives them.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_either_tier_compiles_fits_the_engine_that_runs_it() {
        let config = SandboxConfig::new([0; 32]);
        let running = WasmEngine::new(&config).unwrap();
        for tier in Tier::ALL {
            let compiling = WasmEngine::compiler(config.stack_bytes, tier).unwrap();
            let code = compiling.engine.precompile_component(b"\0asm\x0d\0\x01\0").unwrap();
            crate::artifacts::load_own(&running.engine, &code).unwrap();
        }
    }

    #[test]
    fn the_version_in_cache_keys_is_the_one_that_is_built_in() {
        let manifest = include_str!("../../../Cargo.toml");
        assert!(manifest.contains(&format!("\nwasmtime = {{ version = \"={WASMTIME}\"")));
        let adapter = "\nwasi-preview1-component-adapter-provider";
        assert!(manifest.contains(&format!("{adapter} = \"={WASMTIME}\"")));
    }
}
