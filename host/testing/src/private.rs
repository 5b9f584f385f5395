//! A server of one test's own, for what cannot be shared: crashes, restarts, durability.

use anyhow::{Context, Result};
use postgres::{Binaries, Server, ServerOptions, StopMode};
use tempfile::TempDir;

/// A durable server that ends with its guard.
#[derive(Debug)]
pub struct PrivatePostgres {
    /// Only absent while a blocking thread works on it. Declared first: it stops before its directory goes.
    server: Option<Server>,
    url: String,
    _home: TempDir,
}

/// Starts a server with Postgres's own, durable settings.
pub async fn private_postgres() -> PrivatePostgres {
    tokio::task::spawn_blocking(PrivatePostgres::start)
        .await
        .expect("the starting thread does not panic")
        .expect("a private Postgres starts; `make setup` installs what it needs")
}

impl PrivatePostgres {
    /// Where to connect; the same after a restart.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops the server in this way and starts it again; returns when it accepts connections.
    pub async fn restart(&mut self, mode: StopMode) {
        let mut server = self.server.take().expect("only a restart under way takes the server");
        let server = tokio::task::spawn_blocking(move || server.restart(mode).map(|()| server))
            .await
            .expect("the restarting thread does not panic")
            .expect("the private Postgres comes back");
        self.server = Some(server);
    }

    fn start() -> Result<Self> {
        let binaries = Binaries::find(None).context("no Postgres server is installed")?;
        let home = tempfile::tempdir()?;
        let options = ServerOptions { keep: false, ..ServerOptions::new(home.path()) };
        let server = Server::start(&binaries, options)?;
        Ok(Self { url: server.url(), server: Some(server), _home: home })
    }
}
