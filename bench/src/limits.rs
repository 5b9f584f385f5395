//! What this Postgres can do at most: the smallest statements that insert, claim and complete, by pgbench on the same
//! server in the same run.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::process::Command;

use crate::database::Database;
use crate::sample::Sample;
use crate::stage::Setting;

/// Seconds of each row.
const SECONDS: u32 = 5;

const SCHEMA: &str = "drop table if exists limit_row;
create table limit_row (id bigserial primary key, state smallint not null default 0, owner int, input jsonb, output jsonb);
create index limit_ready on limit_row (id) where state = 0;
create index limit_claimed on limit_row (owner) where state = 1";

const INSERT: &str = "insert into limit_row (input) values ('{\"n\":1}');\n";

const THREE: &str = "\\set c_id 0
insert into limit_row (input) values ('{\"n\":1}');
update limit_row set state = 1, owner = :client_id where id = (select id from limit_row where state = 0 order by id for update skip locked limit 1) returning id \\aset c_
update limit_row set state = 2, output = '{\"r\":1}' where id = :c_id;
";

const BATCH: &str = "insert into limit_row (input) select '{\"n\":1}' from generate_series(1, 200);
update limit_row set state = 1, owner = :client_id where id in (select id from limit_row where state = 0 order by id for update skip locked limit 200);
update limit_row set state = 2, output = '{\"r\":1}' where state = 1 and owner = :client_id;
";

/// A row: its name, its script, its clients, and how many executions one run of the script stands for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    #[serde(skip)]
    script: &'static str,
    clients: u32,
    executions: u32,
}

pub(crate) const LIMITS: [Limit; 3] = [
    Limit { name: "limit: one-row inserts", script: INSERT, clients: 32, executions: 1 },
    Limit { name: "limit: insert, claim, complete", script: THREE, clients: 32, executions: 1 },
    Limit { name: "limit: the same in 200s", script: BATCH, clients: 2, executions: 200 },
];

impl Limit {
    /// One repetition.
    pub(crate) async fn run(self, setting: &Setting) -> Result<Sample> {
        let database = setting.postgres.fresh("limits").await?;
        for statement in SCHEMA.split(';') {
            database.execute(statement).await?;
        }
        database.checkpoint().await?;
        let before = database.counters().await?;
        let script = setting.postgres.scratch().join("limit.sql");
        std::fs::write(&script, self.script)?;
        let (rate, runs) = self.pgbench(&database, &script).await?;
        let after = database.counters().await?;
        database.close().await;
        let n = runs * f64::from(self.executions);
        let mut sample = Sample {
            executions: n as u64,
            seconds: f64::from(SECONDS),
            executions_per_second: rate * f64::from(self.executions),
            wal_bytes_per_execution: (after.wal_bytes - before.wal_bytes) / n,
            ..Sample::default()
        };
        sample.cpu_ms.postgres = (after.cpu_seconds - before.cpu_seconds) * 1_000.0 / n;
        Ok(sample)
    }

    async fn pgbench(self, database: &Database, script: &std::path::Path) -> Result<(f64, f64)> {
        let output = Command::new("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg(format!("--client={}", self.clients))
            .arg(format!("--time={SECONDS}"))
            .arg("--file")
            .arg(script)
            .arg(&database.url)
            .stderr(Stdio::piped())
            .output()
            .await
            .context("pgbench is not installed: it comes with the Postgres server package")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        let number = |before: &str| {
            let rest = text.split(before).nth(1).unwrap_or_default();
            let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit() && c != '.').next();
            digits.and_then(|digits| digits.parse::<f64>().ok())
        };
        number("tps =")
            .zip(number("actually processed:"))
            .with_context(|| format!("pgbench printed no rate:\n{text}"))
    }
}
