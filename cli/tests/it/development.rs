//! `stateflow dev`: everything starts, everything stops, the data stays.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) const STATEFLOW: &str = env!("CARGO_BIN_EXE_stateflow");

/// A running `stateflow dev`; killed with its handle.
pub(crate) struct Dev {
    child: Child,
    url: String,
}

impl Dev {
    pub(crate) fn start(data: &Path) -> Self {
        let mut child = Command::new(STATEFLOW)
            .args(["dev", "--port", "0", "--data-dir"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = lines
            .find_map(|line| {
                line.strip_prefix("StateFlow is at ")?.split(' ').next().map(str::to_owned)
            })
            .unwrap();
        // It is not as closed as a server is, and says so.
        let open = lines.find(|line| line.starts_with("steps may call this machine"));
        assert!(open.unwrap().contains("--egress-allow-cidr"));
        Self { child, url }
    }

    pub(crate) fn client(&self, arguments: &[&str]) -> Output {
        Command::new(STATEFLOW).args(arguments).env("STATEFLOW_URL", &self.url).output().unwrap()
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It is gone already if it was interrupted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_second_start_continues_with_the_data() {
    let data = tempfile::tempdir().unwrap();
    let definition = data.path().join("hello.json");
    let text = r#"{ "name": "hello", "steps": [{ "id": "say", "type": "log", "config": { "message": "hi" } }] }"#;
    std::fs::write(&definition, text).unwrap();

    let first = Dev::start(data.path());
    assert!(first.client(&["workflows", "push", definition.to_str().unwrap()]).status.success());
    assert!(first.client(&["run", "hello", "--wait"]).status.success());
    first.interrupt();

    let second = Dev::start(data.path());
    let listed = second.client(&["list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("hello") && listed.contains("succeeded"), "{listed}");
    second.interrupt();
}

#[test]
fn client_commands_say_what_is_wrong_and_how_they_failed() {
    let code = |arguments: &[&str]| {
        let output =
            Command::new(STATEFLOW).args(arguments).env_remove("DATABASE_URL").output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (failed, said) = code(&["--url", "http://127.0.0.1:1", "list"]);
    assert_eq!(failed, 1);
    assert!(said.contains("no server at http://127.0.0.1:1"), "{said}");
    assert_eq!(code(&["lsit"]).0, 2);
    assert_eq!(code(&["serve", "--listen", "127.0.0.1:0"]).0, 2);
    let (refused, said) = code(&["serve", "--egress-allow-cidr", "10.0.0.0/8,10.0.0.0/33"]);
    assert_eq!(refused, 2);
    assert!(said.contains("10.0.0.0/33"), "{said}");
    assert_eq!(code(&["--url", "http://127.0.0.1:1", "run", "x", "--input", "{"]).0, 2);
}
