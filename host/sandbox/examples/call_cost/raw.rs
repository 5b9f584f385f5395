//! The same component in the same engine without the sandbox around it: what wasmtime itself takes for a fresh store,
//! an instance, and the call.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use bindings::stateflow::plugin::{log, types::Call};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit/v1",
        world: "step",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

/// The epoch clock, which anybody needs who interrupts guests; ends when it is dropped.
pub(crate) struct Epochs(Arc<AtomicBool>);

impl Epochs {
    pub(crate) fn tick(engine: &Engine, every: Duration) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (engine, told) = (engine.clone(), Arc::clone(&ended));
        thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                thread::sleep(every);
                engine.increment_epoch();
            }
        });
        Self(ended)
    }
}

impl Drop for Epochs {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A plugin of the world `step`, linked.
pub(crate) struct Raw {
    engine: Engine,
    plugin: bindings::StepPre<Host>,
    call: Call,
    input: String,
}

struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl log::Host for Host {
    async fn log(
        &mut self,
        _: log::Level,
        _: String,
        _: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Raw {
    pub(crate) fn new(engine: &Engine, component: &[u8], input: String) -> wasmtime::Result<Self> {
        let component = Component::new(engine, component)?;
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        log::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        let plugin = bindings::StepPre::new(linker.instantiate_pre(&component)?)?;
        let call = Call {
            execution_id: "00000000-0000-0000-0000-000000000001".into(),
            step_id: "measure".into(),
            attempt: 1,
            idempotency_key: "00000000-0000-0000-0000-000000000001:measure".into(),
            namespace: "default".into(),
            deadline_unix_ms: 0,
            traceparent: String::new(),
        };
        Ok(Self { engine: engine.clone(), plugin, call, input })
    }

    /// One call in a fresh instance, with fuel and epochs on.
    pub(crate) async fn call(&self) -> Result<(), Box<dyn Error>> {
        let host = Host { wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, host);
        store.set_fuel(u64::MAX)?;
        store.set_epoch_deadline(u64::MAX / 2);
        let plugin = self.plugin.instantiate_async(&mut store).await?;
        let output = plugin.call_run(&mut store, &self.call, &self.input).await?;
        output.map_err(|error| format!("the plugin failed: {error:?}"))?;
        Ok(())
    }
}
