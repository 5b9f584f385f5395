//! The two sides of the comparison harness: one JSON object per line, on standard input and output.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::signal::unix::{SignalKind, signal};

use crate::database::Database;
use crate::load::Load;
use crate::processes::Launcher;

/// How often to look for the end: as rarely as the other clients do.
const POLL: Duration = Duration::from_millis(50);
const BATCHES_AT_ONCE: u64 = 2;

fn requests() -> Lines<BufReader<Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}

/// What the adapter says in the environment.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long, env = "DATABASE_URL")]
    database_url: String,
    /// `host:port` of the API.
    #[arg(long, env = "STATEFLOW_HOST")]
    host: String,
    /// The `stateflow` binary.
    #[arg(long, env = "STATEFLOW_BIN")]
    binary: PathBuf,
    #[arg(long, env = "STATEFLOW_DATA_DIR")]
    data_dir: PathBuf,
}

/// The load generator.
pub(crate) async fn client(options: Options) -> Result<()> {
    let database = Database::open(&options.database_url).await?;
    let load = Load { host: options.host, in_flight: 1 };
    for (name, steps) in [("single", 1), ("chain", 5)] {
        load.publish(&definition(name, steps)).await?;
    }
    crate::say(&json!({ "ready": 1 }).to_string());
    let mut lines = requests();
    while let Some(line) = lines.next_line().await? {
        let request: Value = serde_json::from_str(&line)?;
        let answer = match answer(&request, &load, &database).await {
            Ok(mut answer) => {
                answer["ok"] = json!(true);
                answer
            }
            Err(error) => json!({ "ok": false, "why": format!("{error:#}") }),
        };
        crate::say(&answer.to_string());
    }
    Ok(())
}

fn definition(name: &str, steps: u32) -> Value {
    let step = |n: u32| {
        let mut step =
            json!({ "id": format!("s{n}"), "type": "log", "config": { "message": "step body" } });
        if n < steps {
            step["next"] = json!(format!("s{}", n + 1));
        }
        step
    };
    json!({ "name": name, "steps": (1..=steps).map(step).collect::<Vec<_>>() })
}

async fn answer(request: &Value, load: &Load, database: &Database) -> Result<Value> {
    let workflow = request["wf"].as_str().unwrap_or("single");
    let n = request["n"].as_u64().unwrap_or(1);
    let load = Load { in_flight: request["inflight"].as_u64().unwrap_or(1), ..load.clone() };
    let input = json!({ "n": 1 });
    let began = Instant::now();
    match request["op"].as_str().unwrap_or_default() {
        "submit" => {
            load.submit(workflow, &input, n).await?;
            until_drained(began, database).await
        }
        "bulk" => {
            load.submit_batches(workflow, &input, n, BATCHES_AT_ONCE).await?;
            until_drained(began, database).await
        }
        "call" => {
            load.call(workflow, &input, n).await?;
            let seconds = began.elapsed().as_secs_f64();
            Ok(json!({ "submit_s": seconds, "total_s": seconds }))
        }
        "preload" => {
            load.submit_batches(workflow, &input, n, BATCHES_AT_ONCE).await?;
            Ok(json!({}))
        }
        "wait" => until_drained(began, database).await,
        "latency" => Ok(json!({ "ms": load.call(workflow, &input, n).await? })),
        "count" => {
            let stored = database.count().await?;
            Ok(json!({
                "completed": stored.succeeded, "pending": stored.queued,
                "failed": stored.others - stored.queued, "steps_stored": stored.attempts,
            }))
        }
        other => bail!("`{other}` is not something this client does"),
    }
}

async fn until_drained(began: Instant, database: &Database) -> Result<Value> {
    let submitted = began.elapsed().as_secs_f64();
    while !database.is_drained().await? {
        tokio::time::sleep(POLL).await;
    }
    Ok(json!({ "submit_s": submitted, "total_s": began.elapsed().as_secs_f64() }))
}

/// A worker process, and the count of the step bodies that it reports in its log.
pub(crate) async fn worker(options: Options) -> Result<()> {
    let launcher = Launcher {
        binary: &options.binary,
        database_url: &options.database_url,
        data_dir: &options.data_dir,
        arguments: &[],
    };
    let steps = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&steps);
    crate::say(&json!({ "starting": 1 }).to_string());
    let count = move |line: &str| {
        counted.fetch_add(u64::from(line.contains("step body")), Ordering::Relaxed);
    };
    let worker = launcher.watched_worker(count).await?;
    crate::say(&json!({ "ready": 1 }).to_string());
    let (mut lines, mut stop) = (requests(), signal(SignalKind::terminate())?);
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(_) => crate::say(&json!({ "ok": true, "steps": steps.load(Ordering::Relaxed) }).to_string()),
                None => break,
            },
            _ = stop.recv() => break,
        }
    }
    worker.stop().await
}
