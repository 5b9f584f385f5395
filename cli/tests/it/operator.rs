//! What an operator sits before: a private Postgres, a server, a shell with `stateflow` on its path, and executions of
//! all kinds, among them failed ones.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use testing::PrivatePostgres;
use tokio::sync::MutexGuard;

use crate::development::STATEFLOW;
use crate::processes::ServerProcess;
use crate::workbench::machine;

/// Fails at once: nobody listens there.
const FAILS: &str = r#"{ "name": "orders", "steps": [
    { "id": "charge", "type": "http", "config": { "url": "http://127.0.0.1:1/" },
      "retryPolicy": { "maxAttempts": 2, "delayMs": 1 } } ] }"#;
const FAILS_DIFFERENTLY: &str = r#"{ "name": "orders", "steps": [
    { "id": "charge", "type": "http", "config": { "url": "http://127.0.0.1:1/v2" } } ] }"#;
const WAITS: &str = r#"{ "name": "rests", "steps": [
    { "id": "rest", "type": "wait", "config": { "durationMs": 3600000 } } ] }"#;
const SUCCEEDS: &str = r#"{ "name": "fan", "steps": [
    { "id": "each", "type": "map", "config": { "items": [1, 2, 3], "steps": [
        { "id": "use", "type": "team/tool@^1", "config": {} } ] } } ] }"#;

/// See the module.
pub(crate) struct Operator {
    pub(crate) database_url: String,
    pub(crate) folder: TempDir,
    server: Option<ServerProcess>,
    _postgres: PrivatePostgres,
    _machine: MutexGuard<'static, ()>,
}

impl Operator {
    /// A database without anything in it, and no server.
    pub(crate) async fn before_the_installation() -> Self {
        let machine = machine().await;
        let postgres = testing::private_postgres().await;
        let folder = tempfile::tempdir().unwrap();
        // The documents name scripts as seen from the repository.
        std::os::unix::fs::symlink(repository().join("deploy"), folder.path().join("deploy"))
            .unwrap();
        let database_url = postgres.url().to_owned();
        Self { database_url, folder, server: None, _postgres: postgres, _machine: machine }
    }

    /// A server that has been used for a while.
    pub(crate) async fn on_duty() -> Self {
        let mut operator = Self::before_the_installation().await;
        operator.succeeds("deploy/make-secrets.sh \"$PWD/secrets\"");
        operator.succeeds("stateflow migrate");
        operator.start();
        let tool = testing::guests::minimal("", "");
        for (name, bytes) in [
            ("tool.wasm", tool.as_slice()),
            ("1.json", FAILS.as_bytes()),
            ("2.json", FAILS_DIFFERENTLY.as_bytes()),
            ("3.json", WAITS.as_bytes()),
            ("4.json", SUCCEEDS.as_bytes()),
        ] {
            std::fs::write(operator.folder.path().join(name), bytes).unwrap();
        }
        operator.succeeds("stateflow plugin push tool.wasm --name team/tool --version 1.0.0");
        operator.succeeds("for n in 1 2 3 4; do stateflow workflows push $n.json; done");
        operator.run("fan");
        operator.run("orders");
        operator.run("rests");
        operator
    }

    /// Starts the server.
    pub(crate) fn start(&mut self) {
        let keys = self.folder.path().join("secrets/secrets_key");
        let environment = [("STATEFLOW_SECRETS_KEY_FILE", keys.as_path())];
        let data = self.folder.path().join("data");
        self.server = Some(ServerProcess::with(&self.database_url, &data, &environment));
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> &str {
        &self.server.as_ref().unwrap().url
    }

    /// Stops the server as a service manager does.
    pub(crate) fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// Starts an execution, and waits for its end unless it only rests. Its id.
    pub(crate) fn run(&self, workflow: &str) -> String {
        let wait = if workflow == "rests" { "" } else { "--wait" };
        let output = self.shell(&format!("stateflow run {workflow} {wait} --json"));
        let started: Value = serde_json::from_slice(&output.stdout).unwrap();
        started["id"].as_str().unwrap().to_owned()
    }

    /// What a shell makes of it: each command has to succeed, those before a pipe too.
    pub(crate) fn shell(&self, commands: &str) -> Output {
        let programs = Path::new(STATEFLOW).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", commands]).current_dir(self.folder.path());
        shell.env("PATH", format!("{}:{path}", programs.display()));
        shell.env("DATABASE_URL", &self.database_url);
        // Whoever runs the tests may have profiles.
        shell.env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        if let Some(server) = &self.server {
            shell.env("STATEFLOW_URL", &server.url);
        }
        shell.output().unwrap()
    }

    /// The same, and it has to succeed. What it printed.
    pub(crate) fn succeeds(&self, commands: &str) -> String {
        let output = self.shell(commands);
        assert!(output.status.success(), "{commands}\n{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, and it has to fail with this code. What it said.
    pub(crate) fn fails(&self, code: i32, commands: &str) -> String {
        let output = self.shell(commands);
        assert_eq!(output.status.code(), Some(code), "{commands}\n{}", said(&output));
        said(&output)
    }
}

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
