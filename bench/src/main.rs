//! `stateflow-bench`: starts a private Postgres with default durability and the release binary, runs the workloads
//! several times, counts what is stored afterwards, and prints figures. `bench/README.md` says what each means.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people: counts far below 2^52"
)]

mod backlog;
mod crashes;
mod database;
mod events;
mod http;
mod limits;
mod load;
mod machine;
mod peer;
mod plot;
mod processes;
mod report;
mod retention;
mod sample;
mod soak;
mod stage;
mod step_service;
mod strangers;
mod waits;
mod workloads;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::database::{Postgres, SETTINGS};
use crate::limits::LIMITS;
use crate::machine::Machine;
use crate::report::{Report, Row};
use crate::sample::Sample;
use crate::stage::Setting;
use crate::workloads::Workload;

/// Measures StateFlow on this machine, with default durability.
#[derive(Debug, Parser)]
enum Command {
    /// Runs the workloads and prints a table.
    Run(Options),
    /// Runs a steady load for long and watches sizes, memory and latency.
    Soak(soak::Options),
    /// The load generator of the comparison harness.
    PeerClient(peer::Options),
    /// The worker of the comparison harness.
    PeerWorker(peer::Options),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The `stateflow` binary, built for release.
    #[arg(long)]
    binary: PathBuf,
    /// The slugify plugin, built.
    #[arg(long)]
    plugin: PathBuf,
    /// Rows whose name begins with one of these; all when empty.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Repetitions of each row.
    #[arg(long, default_value_t = 5)]
    reps: u32,
    /// Multiplies the number of executions of each row.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Requests in flight.
    #[arg(long, default_value_t = 32)]
    in_flight: u64,
    /// Where to write everything as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// More settings of the server, each as name=value: for experiments.
    #[arg(long)]
    postgres: Vec<String>,
    /// Passed on to every `stateflow serve` and `stateflow worker`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Run(options) => run(options).await,
        Command::Soak(options) => soak::run(options).await,
        Command::PeerClient(options) => peer::client(options).await,
        Command::PeerWorker(options) => peer::worker(options).await,
    }
}

async fn run(options: Options) -> Result<()> {
    let postgres = Postgres::start(&options.postgres).await?;
    let stateflow = version_of(&options.binary).await?;
    let setting = Setting {
        binary: options.binary.clone(),
        arguments: options.arguments.clone(),
        in_flight: options.in_flight,
        postgres,
    };
    let mut report = Report {
        machine: Machine::read(&stateflow, &setting.postgres.version),
        postgres_settings: [&SETTINGS.map(str::to_owned), &options.postgres[..]].concat(),
        arguments: options.arguments.clone(),
        in_flight: options.in_flight,
        rows: Vec::new(),
    };
    let outcome = measure(&options, &setting, &mut report).await;
    setting.postgres.stop().await?;
    say(&report.table().to_string());
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    outcome
}

/// Round by round, so that what changes on the machine meanwhile meets every row alike.
async fn measure(options: &Options, setting: &Setting, report: &mut Report) -> Result<()> {
    let wanted = |name: &str| {
        options.only.is_empty() || options.only.iter().any(|only| name.starts_with(only))
    };
    let limits: Vec<_> = LIMITS.into_iter().filter(|limit| wanted(limit.name)).collect();
    let workloads: Vec<_> = Workload::ALL.into_iter().filter(|it| wanted(&it.name())).collect();
    let names =
        limits.iter().map(|it| it.name.to_owned()).chain(workloads.iter().map(|it| it.name()));
    report.rows = names.map(|name| Row { name, samples: Vec::new() }).collect();
    for round in 1..=options.reps {
        for (at, limit) in limits.iter().enumerate() {
            let sample = limit.run(setting).await.with_context(|| limit.name.to_owned())?;
            keep(&mut report.rows[at], round, sample);
        }
        for (at, workload) in workloads.iter().enumerate() {
            let n = (workload.executions() as f64 * options.scale).ceil() as u64;
            let sample = workload.run(setting, n, &options.plugin).await;
            let sample = sample.with_context(|| workload.name())?;
            keep(&mut report.rows[limits.len() + at], round, sample);
        }
    }
    Ok(())
}

fn keep(row: &mut Row, round: u32, sample: Sample) {
    say(&format!(
        "{round} {}: {:.0} executions/s, {:.3} ms of CPU each",
        row.name,
        sample.executions_per_second,
        sample.cpu_ms.served()
    ));
    row.samples.push(sample);
}

async fn version_of(binary: &PathBuf) -> Result<String> {
    let output = tokio::process::Command::new(binary).arg("--version").output().await;
    let output = output.with_context(|| format!("cannot run {}", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[expect(clippy::print_stdout, reason = "a program for a terminal")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
