//! A drain beside a backlog: many rows pending that are not due yet, and as many that have finished.

use std::time::Instant;

use anyhow::Result;

use crate::sample::{Sample, quantiles};
use crate::stage::{Setting, Stage};
use crate::workloads::Flow;

/// Claims whose time is taken.
const CLAIMS: u32 = 200;
/// Rows of one claim.
const CLAIM: u32 = 100;

/// The clock runs as in a drain.
pub(crate) async fn run(setting: &Setting, n: u64, thousand: u32) -> Result<Sample> {
    let flow = Flow::log();
    let mut stage = Stage::set(setting, false).await?;
    flow.publish(&stage).await?;
    fill(&stage, u64::from(thousand) * 1_000).await?;
    stage.load.submit_batches("flow", &flow.input, n, 2).await?;
    stage.database.checkpoint().await?;
    let claims = time_claims(&stage).await?;
    let before = stage.begin().await?;
    stage.add_worker().await?;
    let due = "select count(*)::float8 from (select from stateflow.queue where due_at <= now() limit 1) q";
    while stage.database.number(due).await? > 0.0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let sample = stage.end(before, n, 1).await?;
    let done = stage.database.count().await?;
    anyhow::ensure!(done.attempts == i64::try_from(n)?, "{} steps ran, not {n}", done.attempts);
    stage.strike().await?;
    let more = ["claim_p50_ms", "claim_p95_ms", "claim_p99_ms"];
    let more = more.iter().zip(claims).map(|(name, ms)| ((*name).to_owned(), ms)).collect();
    Ok(Sample { more, ..sample })
}

/// Rows as the product writes them: half of them pending and due in a day, half finished.
async fn fill(stage: &Stage<'_>, rows: u64) -> Result<()> {
    let fill = format!(
        "insert into stateflow.executions (id, namespace_id, workflow_id, version, status, state, input)
         select gen_random_uuid(), 1, w.id, 1, s.status, '{{\"status\":\"pending\"}}', '{{\"n\":1}}'
         from stateflow.workflows w, generate_series(1, {rows}), (values ('pending'), ('cancelled')) s (status);
         insert into stateflow.queue (execution_id, namespace_id, due_at)
         select id, 1, now() + interval '1 day' + random() * interval '1 day'
         from stateflow.executions where status = 'pending';
         vacuum analyze stateflow.queue; vacuum analyze stateflow.executions"
    );
    for statement in fill.split(';') {
        stage.database.execute(statement).await?;
    }
    Ok(())
}

/// The claim's search and lock, as the store's statement makes it, rolled back each time.
async fn time_claims(stage: &Stage<'_>) -> Result<[f64; 3]> {
    let claim = format!(
        "begin;
         with due as (select execution_id from stateflow.queue where worker_id is null and due_at <= now()
                      order by due_at limit {CLAIM} for update skip locked)
         update stateflow.queue q set worker_id = q.execution_id from due where q.execution_id = due.execution_id;
         rollback"
    );
    let mut times = Vec::new();
    for _ in 0..CLAIMS {
        let began = Instant::now();
        stage.database.execute(&claim).await?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(quantiles(times).unwrap_or_default())
}
