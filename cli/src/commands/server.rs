//! Commands that run a process: `dev`, `serve`, `worker`.

use std::process::ExitCode;

use anyhow::Context;
use egress::Private;
use store::{Store, StoreSettings};
use tokio::net::TcpListener;

use crate::arguments::{DevOptions, ProcessOptions, ServeOptions, WorkerOptions};
use crate::compose::{self, Roles};
use crate::configuration;
use crate::dev_postgres::{DevPostgres, DevPostgresOptions};
use crate::output;

/// Connections that wait for whoever comes: about as many as one execution needs at once.
const KEPT_READY: u32 = 4;

/// Everything on this machine, nothing else needed.
pub(crate) async fn dev(mut options: DevOptions) -> anyhow::Result<ExitCode> {
    options.settings.egress_allow_cidr.extend_from_slice(Private::loopback().ranges());
    configuration::check(&options.settings)?;
    compose::start_logging(&options.settings);
    let stop = compose::stop_on_signal()?;
    let scratch = options.ephemeral.then(tempfile::tempdir).transpose()?;
    if let Some(scratch) = &scratch {
        options.settings.data_dir = scratch.path().to_owned();
    }
    let settings = &mut options.settings;
    if settings.keys.secrets_key.is_none() && settings.keys.secrets_key_file.is_none() {
        settings.keys.secrets_key_file = Some(configuration::own_secrets_key(&settings.data_dir)?);
    }
    let address = format!("127.0.0.1:{}", options.port);
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another port with --port"))?;
    let url = format!("http://{}", listener.local_addr()?);
    let database = DevPostgres::start(DevPostgresOptions {
        data_root: options.settings.data_dir.clone(),
        ephemeral: options.ephemeral,
        port: None,
        cache: configuration::cache_directory(),
    })
    .await?;
    let store = StoreSettings {
        max_connections: options.settings.connections,
        kept_ready: KEPT_READY,
        ..StoreSettings::new(database.url(), store::Schema::default())
    };
    let served = async {
        Store::migrate(&store).await?;
        output::note(&format!("StateFlow is at {url} (API: {url}/api/openapi.json)"));
        output::note(&format!(
            "data is in {}; Ctrl-C stops everything",
            options.settings.data_dir.display()
        ));
        output::note(
            "steps may call this machine (127.0.0.0/8 and ::1), as they may not under `stateflow serve`: see --egress-allow-cidr",
        );
        let roles = Roles { api: Some(listener), monitoring: None, worker: true };
        compose::run(store, &options.settings, roles, "ready", stop).await
    }
    .await;
    database.stop().await?;
    served.map(|()| ExitCode::SUCCESS)
}

/// The API, with or without a worker.
pub(crate) async fn serve(options: ServeOptions) -> anyhow::Result<ExitCode> {
    let listener = listen(&options.listen).await?;
    let address = listener.local_addr()?;
    let roles = Roles { api: Some(listener), monitoring: None, worker: !options.no_worker };
    process(&options.process, roles, &format!("serving http://{address}")).await
}

/// A worker alone.
pub(crate) async fn worker(options: WorkerOptions) -> anyhow::Result<ExitCode> {
    let monitoring = match &options.listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let roles = Roles { api: None, monitoring, worker: true };
    process(&options.process, roles, "working").await
}

async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

async fn process(options: &ProcessOptions, roles: Roles, ready: &str) -> anyhow::Result<ExitCode> {
    configuration::check(&options.settings)?;
    let store = configuration::store(&options.database, options.settings.connections)?;
    let store = StoreSettings { kept_ready: KEPT_READY, ..store };
    compose::start_logging(&options.settings);
    let stop = compose::stop_on_signal()?;
    compose::run(store, &options.settings, roles, ready, stop).await?;
    Ok(ExitCode::SUCCESS)
}
