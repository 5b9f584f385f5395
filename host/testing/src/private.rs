//! A server of one test's own, for what cannot be shared: crashes, restarts, durability.

use anyhow::{Context, Result};
use nix::unistd::Pid;
use postgres::{Binaries, Server, ServerOptions, StopMode};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use crate::throttle::Throttle;

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

    /// Leaves the server little of one processor: the connections that are made from now on are slow.
    pub fn throttle(&self) -> Throttle {
        let pid = self.server.as_ref().and_then(Server::pid).expect("the server runs");
        Throttle::on(Pid::from_raw(pid)).expect("the server can be throttled")
    }

    /// Takes connections until only so many are left.
    pub async fn leave_connections(&self, left: usize) -> Vec<PgConnection> {
        let mut taken = Vec::new();
        while let Ok(connection) = PgConnection::connect(&self.url).await {
            taken.push(connection);
        }
        for connection in taken.split_off(taken.len() - left) {
            connection.close().await.expect("the server answers");
        }
        taken
    }

    fn start() -> Result<Self> {
        let binaries = Binaries::find(None).context("no Postgres server is installed")?;
        let home = tempfile::tempdir()?;
        let options = ServerOptions { keep: false, ..ServerOptions::new(home.path()) };
        let server = Server::start(&binaries, options)?;
        Ok(Self { url: server.url(), server: Some(server), _home: home })
    }
}
