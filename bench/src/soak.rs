//! A steady load for as long as told: what grows, shrinks or slows down only shows over time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::database::Postgres;
use crate::machine;
use crate::sample::{quantiles, spread_of};
use crate::stage::{Setting, Stage};
use crate::workloads::Flow;

/// A steady load, and what becomes of the system under it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The `stateflow` binary, built for release.
    #[arg(long)]
    binary: PathBuf,
    /// Seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Executions started per second.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Seconds between two rows of the table.
    #[arg(long, default_value_t = 5)]
    every: u64,
    /// Where to write the rows.
    #[arg(long, default_value = "soak.csv")]
    csv: PathBuf,
    /// Where to draw them.
    #[arg(long, default_value = "soak.svg")]
    svg: PathBuf,
}

/// The columns, each also a curve.
pub(crate) const COLUMNS: [&str; 8] = [
    "executions/s",
    "p50 ms",
    "p99 ms",
    "API MB",
    "worker MB",
    "dead tuples in queue",
    "queue KiB",
    "history MiB",
];

/// One row: the seconds since the start, then the columns.
pub(crate) type Row = (f64, [f64; COLUMNS.len()]);

/// Callers share the load; each keeps to its own beat.
const CALLERS: u64 = 64;

type Times = Arc<Mutex<Vec<f64>>>;

/// Runs the load and writes what was seen.
pub(crate) async fn run(options: Options) -> Result<()> {
    let setting = Setting {
        postgres: Postgres::start(&[]).await?,
        binary: options.binary.clone(),
        arguments: Vec::new(),
        in_flight: CALLERS,
    };
    let outcome = soak(&options, &setting).await;
    setting.postgres.stop().await?;
    let rows = outcome?;
    std::fs::write(&options.csv, csv(&rows))
        .with_context(|| format!("cannot write {}", options.csv.display()))?;
    crate::plot::draw(&options.svg, &rows)?;
    for line in summary(&rows) {
        crate::say(&line);
    }
    Ok(())
}

async fn soak(options: &Options, setting: &Setting) -> Result<Vec<Row>> {
    let flow = Flow::log();
    let mut stage = Stage::set(setting, false).await?;
    stage.add_worker().await?;
    flow.publish(&stage).await?;
    stage.warm_up("flow", &flow.input, flow.steps).await?;
    let times = Times::default();
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let mut callers = JoinSet::new();
    let beat = Duration::from_secs_f64(CALLERS as f64 / options.rate as f64);
    for n in 0..CALLERS {
        let (load, times) = (stage.load.clone(), Arc::clone(&times));
        // One after the other, not all at once on every beat.
        let first = tokio::time::Instant::now() + beat.mul_f64(n as f64 / CALLERS as f64);
        callers
            .spawn(async move { load.call_steadily("flow", (first, beat), until, &times).await });
    }
    let rows = watch(options, &stage, &times, until).await?;
    let mut calls = 0;
    while let Some(caller) = callers.join_next().await {
        calls += caller??;
    }
    stage.drained().await?;
    stage.verify(calls, flow.steps).await?;
    stage.strike().await?;
    Ok(rows)
}

async fn watch(
    options: &Options,
    stage: &Stage<'_>,
    times: &Times,
    until: Instant,
) -> Result<Vec<Row>> {
    let began = Instant::now();
    let mut beat = tokio::time::interval(Duration::from_secs(options.every));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await;
    let mut rows = Vec::new();
    while Instant::now() < until {
        beat.tick().await;
        let window = std::mem::take(&mut *times.lock().expect("no holder panics"));
        let rate = window.len() as f64 / options.every as f64;
        let [p50, _, p99] = quantiles(window).unwrap_or_default();
        let dead = "select coalesce(n_dead_tup, 0)::float8 from pg_stat_user_tables where relname = 'queue'";
        let queue = "select pg_total_relation_size('stateflow.queue')::float8 / 1024";
        let history = "select sum(pg_total_relation_size(oid))::float8 / 1048576 from pg_class
                       where relname ~ '^(executions|attempts)_' and relkind = 'r'";
        let worker = stage.workers.first().map_or(0, |it| machine::resident_bytes(it.pid()));
        let columns = [
            rate,
            p50,
            p99,
            machine::resident_bytes(stage.api.process.pid()) as f64 / 1e6,
            worker as f64 / 1e6,
            stage.database.number(dead).await?,
            stage.database.number(queue).await?,
            stage.database.number(history).await?,
        ];
        rows.push((began.elapsed().as_secs_f64(), columns));
    }
    Ok(rows)
}

fn csv(rows: &[Row]) -> String {
    let line = |(seconds, columns): &Row| {
        format!("{seconds:.0},{}", columns.map(|it| format!("{it:.2}")).join(","))
    };
    let head = format!("seconds,{}", COLUMNS.join(","));
    let lines: Vec<_> = std::iter::once(head).chain(rows.iter().map(line)).collect();
    lines.join("\n") + "\n"
}

/// The second quarter against the last: what is flat stays the same.
fn summary(rows: &[Row]) -> Vec<String> {
    let quarter = rows.len() / 4;
    let middle = |rows: &[Row], column: usize| {
        spread_of(rows.iter().map(|(_, columns)| columns[column]).collect())[1]
    };
    let line = |(column, name): (usize, &&str)| {
        let early = middle(&rows[quarter..2 * quarter], column);
        let late = middle(&rows[rows.len() - quarter..], column);
        let change = if early > 0.0 { (late / early - 1.0) * 100.0 } else { 0.0 };
        format!(
            "{name:>22}: second quarter {early:10.2}, last quarter {late:10.2} ({change:+.1} %)"
        )
    };
    COLUMNS.iter().enumerate().map(line).collect()
}
