//! The stage of one repetition: a fresh database, fresh processes, a warm-up, then the clock, then the counting.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::database::{Counters, Database, Postgres, Stored};
use crate::load::Load;
use crate::machine;
use crate::processes::{Api, Launcher, Process};
use crate::sample::{Cpu, Sample};

/// How often to look whether everything has ended: as rarely as the peers' clients do.
const POLL: Duration = Duration::from_millis(50);
/// Postgres's processes report what they have counted at most once a second.
const STATISTICS_DELAY: Duration = Duration::from_millis(1_200);
/// Executions before the clock starts.
const WARM_UP: u64 = 200;

/// What all repetitions share.
pub(crate) struct Setting {
    pub(crate) postgres: Postgres,
    pub(crate) binary: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) in_flight: u64,
}

/// One repetition.
pub(crate) struct Stage<'a> {
    setting: &'a Setting,
    arguments: Vec<String>,
    pub(crate) database: Database,
    pub(crate) api: Api,
    pub(crate) workers: Vec<Process>,
    pub(crate) load: Load,
    /// Executions that the warm-up ran, and their steps.
    warmed: (u64, u64),
}

/// Readings at one instant.
pub(crate) struct Reading {
    at: Instant,
    cpu: Cpu,
    counters: Counters,
}

impl<'a> Stage<'a> {
    /// A fresh database and an API server; with a worker in it, or without any.
    pub(crate) async fn set(setting: &'a Setting, worker_in_api: bool) -> Result<Stage<'a>> {
        Self::set_with(setting, worker_in_api, Vec::new()).await
    }

    /// The same, with more settings for every process.
    pub(crate) async fn set_with(
        setting: &'a Setting,
        worker_in_api: bool,
        more: Vec<String>,
    ) -> Result<Stage<'a>> {
        let arguments = [setting.arguments.as_slice(), &more].concat();
        let database = setting.postgres.fresh("repetition").await?;
        let launcher = launcher(setting, &database, &arguments);
        launcher.migrate().await?;
        let api = launcher.serve(worker_in_api).await?;
        let load = Load { host: api.host.clone(), in_flight: setting.in_flight };
        let (workers, warmed) = (Vec::new(), (0, 0));
        Ok(Self { setting, arguments, database, api, workers, load, warmed })
    }

    /// Another API server with a worker takes the place of the one that there is.
    pub(crate) async fn restart_api(&mut self) -> Result<()> {
        let api = launcher(self.setting, &self.database, &self.arguments).serve(true).await?;
        self.load.host.clone_from(&api.host);
        std::mem::replace(&mut self.api, api).process.stop().await
    }

    /// Starts one more worker process.
    pub(crate) async fn add_worker(&mut self) -> Result<()> {
        let worker = launcher(self.setting, &self.database, &self.arguments).worker().await?;
        self.workers.push(worker);
        Ok(())
    }

    /// Ends the worker processes in order.
    pub(crate) async fn stop_workers(&mut self) -> Result<()> {
        for worker in std::mem::take(&mut self.workers) {
            worker.stop().await?;
        }
        Ok(())
    }

    /// Ends the first worker like a crash, and starts another.
    pub(crate) async fn crash_a_worker(&mut self) -> Result<()> {
        if !self.workers.is_empty() {
            self.workers.remove(0).kill().await?;
        }
        self.add_worker().await
    }

    /// Runs some executions to their end, so that plans, caches and connections are there.
    pub(crate) async fn warm_up(
        &mut self,
        workflow: &str,
        input: &Value,
        steps: u64,
    ) -> Result<()> {
        self.load.submit(workflow, input, WARM_UP).await?;
        self.drained().await?;
        self.warmed.0 += WARM_UP;
        self.warmed.1 += WARM_UP * steps;
        self.database.checkpoint().await
    }

    /// Waits until nothing is left in the queue.
    pub(crate) async fn drained(&self) -> Result<()> {
        while !self.database.is_drained().await? {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Reads the counters before the clock starts.
    pub(crate) async fn begin(&self) -> Result<Reading> {
        tokio::time::sleep(STATISTICS_DELAY).await;
        let counters = self.database.counters().await?;
        Ok(Reading { at: Instant::now(), cpu: self.cpu(&counters)?, counters })
    }

    /// Stops the clock and reads the counters again.
    pub(crate) async fn end(&self, before: Reading, executions: u64, steps: u64) -> Result<Sample> {
        let seconds = before.at.elapsed().as_secs_f64();
        let counters = self.database.counters().await?;
        let cpu = self.cpu(&counters)?;
        tokio::time::sleep(STATISTICS_DELAY).await;
        let settled = self.database.counters().await?;
        let n = executions as f64;
        Ok(Sample {
            executions,
            seconds,
            executions_per_second: n / seconds,
            steps_per_second: n * steps as f64 / seconds,
            cpu_ms: cpu.since(before.cpu, 1_000.0 / n),
            wal_bytes_per_execution: (counters.wal_bytes - before.counters.wal_bytes) / n,
            transactions_per_execution: (settled.transactions - before.counters.transactions) / n,
            api_peak_mb: megabytes(self.api.process.peak_bytes()),
            worker_peak_mb: self.workers.iter().map(|it| megabytes(it.peak_bytes())).sum(),
            ..Sample::default()
        })
    }

    /// Counts, in the database and through the API: all succeeded, each step once, nothing left.
    pub(crate) async fn verify(&self, executions: u64, steps: u64) -> Result<()> {
        self.verify_parts(executions, 0, executions * steps).await
    }

    /// The same where executions have begun others: `parts` of them, which are not listed; `steps` in all.
    pub(crate) async fn verify_parts(&self, executions: u64, parts: u64, steps: u64) -> Result<()> {
        let expected = i64::try_from(executions + self.warmed.0)?;
        let wanted = Stored {
            succeeded: expected + i64::try_from(parts)?,
            others: 0,
            attempts: i64::try_from(steps + self.warmed.1)?,
            queued: 0,
        };
        let stored = self.database.count().await?;
        if stored != wanted {
            bail!("the database holds {stored:?}, not {wanted:?}");
        }
        let listed = self.load.count_succeeded().await?;
        if listed != expected {
            bail!("the API lists {listed} executions, not {expected}");
        }
        Ok(())
    }

    /// Ends the processes.
    pub(crate) async fn strike(mut self) -> Result<()> {
        self.stop_workers().await?;
        self.api.process.stop().await?;
        self.database.close().await;
        Ok(())
    }

    fn cpu(&self, counters: &Counters) -> Result<Cpu> {
        let own = i32::try_from(std::process::id()).context("a process id is an i32")?;
        let api = self.api.process.cpu_seconds();
        let workers: f64 = self.workers.iter().map(Process::cpu_seconds).sum();
        // The processes under test are children of this one, and so is Postgres.
        let all = machine::cpu_seconds(own);
        let load = all - api - workers - counters.cpu_seconds;
        Ok(Cpu { api, workers, postgres: counters.cpu_seconds, load })
    }
}

fn launcher<'a>(
    setting: &'a Setting,
    database: &'a Database,
    arguments: &'a [String],
) -> Launcher<'a> {
    Launcher {
        binary: &setting.binary,
        database_url: &database.url,
        data_dir: setting.postgres.scratch(),
        arguments,
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
