//! What one attempt's store holds, and the host functions that it can reach: WASI without any
//! grant, and the log.

use std::{sync::Arc, time::Instant};

use engine::attempt::{AttemptContext, LogLevel};
use tokio_util::sync::CancellationToken;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{
    WasiCtx, WasiCtxView, WasiView,
    cli::{WasiCli, WasiCliView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    p2::{bindings, pipe::MemoryInputPipe},
    random::WasiRandom,
};

use crate::{
    bindings::step::stateflow::plugin::{blob, http, log, progress, revealing, secrets, signing},
    config::SandboxConfig,
    exit_code,
    guest_blobs::GuestBlobs,
    guest_http::WasiOutbound,
    guest_progress::Progress,
    host_calls::{HostCalls, Import},
    limiter::Limiter,
    live::Live,
    log_buffer::LogBuffer,
    outbound::Outbound,
    request_tally::RequestTally,
    reveals::Reveals,
    stdio::{CappedOutput, LogSink, SinkStream},
};

/// Handles that a guest may hold at one time.
pub(crate) const MAX_HANDLES: usize = 1024;

/// Random bytes that a guest may ask for at one time.
const MAX_RANDOM: u64 = 1 << 20;

/// The data of one attempt's store.
pub(crate) struct Guest {
    wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limiter: Limiter,
    pub(crate) deadline: Instant,
    pub(crate) cancel: CancellationToken,
    pub(crate) outbound: Outbound,
    pub(crate) reveals: Option<Arc<dyn Reveals>>,
    pub(crate) wasi_http: WasiOutbound,
    pub(crate) progress: Progress,
    pub(crate) blobs: GuestBlobs,
    pub(crate) calls: HostCalls,
    log: LogBuffer,
}

/// Where an attempt's streams end.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) log: LogBuffer,
    pub(crate) stdout: CappedOutput,
    pub(crate) stderr: LogSink,
    pub(crate) requests: RequestTally,
}

/// What a program finds on its stdin and in its environment; other plugins find nothing.
pub(crate) struct ProgramStart<'a> {
    pub(crate) stdin: Vec<u8>,
    pub(crate) attempt: &'a AttemptContext,
}

impl Streams {
    pub(crate) fn new(config: &SandboxConfig, live: &Live) -> Self {
        let log = live.log(config.logs);
        let stderr = LogSink::new(log.clone());
        let stdout = CappedOutput::new(config.max_output_bytes);
        Self { log, stdout, stderr, requests: RequestTally::default() }
    }
}

impl Guest {
    pub(crate) fn new(
        limiter: Limiter,
        deadline: Instant,
        cancel: CancellationToken,
        streams: &Streams,
        outbound: Outbound,
        program: Option<ProgramStart<'_>>,
    ) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        wasi.max_random_size(MAX_RANDOM);
        wasi.stderr(SinkStream(streams.stderr.clone()));
        match program {
            Some(program) => {
                wasi.stdin(MemoryInputPipe::new(program.stdin));
                wasi.stdout(SinkStream(streams.stdout.clone()));
                wasi.envs(&environment(program.attempt));
            }
            // A print in a plugin whose output is a return value is meant for the log.
            None => {
                wasi.stdout(SinkStream(streams.stderr.clone()));
            }
        }
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let wasi_http = WasiOutbound::new(outbound.clone());
        let log = streams.log.clone();
        Self {
            wasi: wasi.build(),
            table,
            limiter,
            deadline,
            cancel,
            outbound,
            reveals: None,
            wasi_http,
            progress: Progress::default(),
            blobs: GuestBlobs::default(),
            calls: HostCalls::default(),
            log,
        }
    }
}

fn environment(attempt: &AttemptContext) -> [(&'static str, String); 4] {
    [
        ("STATEFLOW_EXECUTION_ID", attempt.execution_id.to_string()),
        ("STATEFLOW_STEP_ID", attempt.step_id.clone()),
        ("STATEFLOW_ATTEMPT", attempt.attempt.to_string()),
        ("STATEFLOW_IDEMPOTENCY_KEY", attempt.idempotency_key()),
    ]
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl log::Host for Guest {
    async fn log(
        &mut self,
        level: log::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        self.calls.count(Import::Log);
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.push(level, &message, fields);
        Ok(())
    }
}

/// Everything that a plugin can import. Sockets are absent: what is not linked cannot be reached; and of HTTP there is
/// only what `Outbound` lets out.
pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use bindings::{cli, filesystem, random};

    // Streams, clocks, `random` and the three standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, |guest| guest.wasi.random())?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, |guest| guest.wasi.random())?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    // C libraries import the file system even when they open nothing. There are no preopened
    // directories, so there is nothing to open.
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    exit_code::link(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    http::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    secrets::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    signing::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    revealing::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    blob::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    progress::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)?;
    log::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
}
