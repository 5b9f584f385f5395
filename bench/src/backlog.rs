//! Claims from a long queue: many more executions are due than are run, and as many have finished.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::sample::{Sample, quantiles};
use crate::stage::{Setting, Stage};
use crate::workloads::Flow;

/// Claims whose time is taken.
const CLAIMS: u32 = 200;
/// The store's own statement.
const CLAIM: &str = include_str!("../../host/store/queries/claim_executions.sql");
/// The worker that makes those claims, and how many executions each takes.
const CLAIMER: &str = "00000000-0000-7000-8000-000000000001";
const CLAIMED: u32 = 100;
/// How often to look at the number of leases. It is one number, whatever the length of the queue.
const POLL: Duration = Duration::from_millis(5);
const LEASES: &str = "select last_value::float8 from stateflow.lease_epochs";

/// The clock runs from the start of the worker to the claim of the n-th; the others stay pending.
pub(crate) async fn run(setting: &Setting, n: u64, thousand: u32) -> Result<Sample> {
    let flow = Flow::log();
    let mut stage = Stage::set(setting, false).await?;
    flow.publish(&stage).await?;
    stage.load.submit_batches("flow", &flow.input, 1, 1).await?;
    let finished = u64::from(thousand) * 1_000;
    let pending = finished + n;
    fill(&stage, pending, finished).await?;
    let claims = time_claims(&stage).await?;
    stage.database.checkpoint().await?;
    let leases = stage.database.number(LEASES).await?;
    let before = stage.begin().await?;
    stage.add_worker().await?;
    let mut claimed = 0.0;
    while claimed < n as f64 {
        tokio::time::sleep(POLL).await;
        claimed = stage.database.number(LEASES).await? - leases;
    }
    let sample = stage.end(before, claimed as u64, 1).await?;
    stage.stop_workers().await?;
    verify(&stage, pending + 1, finished).await?;
    stage.strike().await?;
    let more = ["claim_p50_ms", "claim_p95_ms", "claim_p99_ms"];
    let more = more.iter().zip(claims).map(|(name, ms)| ((*name).to_owned(), ms)).collect();
    Ok(Sample { more, ..sample })
}

/// Rows as the product writes them: copies of one that it wrote, a microsecond apart, due or finished.
async fn fill(stage: &Stage<'_>, pending: u64, finished: u64) -> Result<()> {
    let copies = |n: u64, status: &str| {
        format!(
            "insert into stateflow.executions
                 (id, namespace_id, workflow_id, version, status, watched, state, input, labels)
             select (left(stateflow.uuid_at(now() + n * interval '1 microsecond')::text, 14)
                     || substr(gen_random_uuid()::text, 15))::uuid,
                 e.namespace_id, e.workflow_id, e.version, '{status}', false, e.state, e.input, e.labels
             from generate_series(1, {n}) n, (select * from stateflow.executions where status = 'pending' limit 1) e"
        )
    };
    for statement in [
        copies(finished, "cancelled"),
        copies(pending, "pending"),
        "insert into stateflow.queue (execution_id, namespace_id, due_at)
         select id, namespace_id, now() + row_number() over (order by id) * interval '1 microsecond'
         from stateflow.executions where status = 'pending'
         on conflict do nothing"
            .to_owned(),
        "vacuum analyze stateflow.queue, stateflow.executions".to_owned(),
    ] {
        stage.database.execute(&statement).await?;
    }
    Ok(())
}

/// Times the store's statement, rolled back each time.
async fn time_claims(stage: &Stage<'_>) -> Result<[f64; 3]> {
    let register = format!(
        "insert into stateflow.workers (id, host, pid, build, concurrency, lease_until)
         values ('{CLAIMER}', 'bench', 0, 'bench', 1, now() + interval '1 hour')"
    );
    let claim =
        CLAIM.replace("$1", &format!("'{CLAIMER}'::uuid")).replace("$2", &CLAIMED.to_string());
    let claim = format!("begin; set local search_path to stateflow; {claim}; rollback");
    stage.database.execute(&register).await?;
    let mut times = Vec::new();
    for _ in 0..CLAIMS {
        let began = Instant::now();
        stage.database.execute(&claim).await?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    stage
        .database
        .execute(&format!("delete from stateflow.workers where id = '{CLAIMER}'"))
        .await?;
    Ok(quantiles(times).unwrap_or_default())
}

/// Nothing is lost or doubled: what has not succeeded waits in the queue, without a holder.
async fn verify(stage: &Stage<'_>, started: u64, finished: u64) -> Result<()> {
    let stored = stage.database.count().await?;
    let (started, finished) = (i64::try_from(started)?, i64::try_from(finished)?);
    ensure!(stored.attempts == stored.succeeded, "steps ran twice: {stored:?}");
    ensure!(stored.succeeded + stored.queued == started, "not {started} in all: {stored:?}");
    ensure!(stored.others == finished + stored.queued, "not {finished} from before: {stored:?}");
    let held = "select count(*)::float8 from stateflow.queue where worker_id is not null";
    let held = stage.database.number(held).await?;
    ensure!(held == 0.0, "{held} executions are held by nobody who runs");
    Ok(())
}
