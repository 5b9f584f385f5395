//! The example workflows: each is published and run, and gives what its README says.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::claims::{Claim, claims};
use crate::server::Server;

const README: &str = include_str!("../../../examples/workflows/README.md");

/// The service that the examples talk to; gone with its handle.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    fn start() -> Self {
        let mut process = Command::new("python3")
            .arg(folder().join("service.py"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { process, address: address.trim().to_owned() }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/workflows")
}

fn definition(name: &str) -> Value {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The workflows of a section, the one that the claims are of first.
fn section(text: &str) -> (Vec<String>, Vec<Claim>) {
    let (title, body) = text.split_once('\n').unwrap();
    (title.split(", ").map(str::to_owned).collect(), claims(body))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_gives_what_its_readme_says() {
    let (server, service) = (Server::working().await, Service::start());
    let sections: Vec<_> = README.split("\n## ").skip(1).map(section).collect();
    let mut described: Vec<_> = sections.iter().flat_map(|(names, _)| names.clone()).collect();
    let files = std::fs::read_dir(folder()).unwrap();
    let names = files.filter_map(|file| {
        Some(file.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    described.sort();
    assert_eq!(names, described);
    for name in names {
        let answer = server.post("/api/workflows", &definition(&name)).await;
        assert_eq!(answer.status, 201, "{name}: {answer:?}");
    }
    for (names, claims) in sections {
        assert!(!claims.is_empty(), "nothing is claimed of {names:?}");
        for mut claim in claims {
            claim.input["api"] = json!(service.address);
            claim.holds(&server, &names[0]).await;
        }
    }
    server.stop().await;
}
