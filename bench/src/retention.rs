//! A week of history goes while others start executions: how long that takes, and what they notice of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::Load;
use crate::sample::Sample;
use crate::stage::{Setting, Stage};
use crate::workloads::Flow;

/// Callers that start executions as fast as they are answered.
const CALLERS: u64 = 8;
/// Starts between two looks at the clock.
const CHUNK: u64 = 100;
/// How long the load is watched before the week goes, and after.
const WATCHED: Duration = Duration::from_secs(15);
/// How often to look whether the week is gone.
const POLL: Duration = Duration::from_millis(200);
/// How many of the week's tables there are.
const LEFT: &str = "select count(*)::float8 from pg_class c
    where c.relkind = 'r' and c.relname ~ ('(executions|attempts|families)_' || to_char(
        date_trunc('week', now() at time zone 'utc') - interval '8 weeks', 'YYYYMMDD'))";

/// The figures are starts a second before, meanwhile and after, with the same processes; and the seconds from the worker's
/// start, which looks for what is past its time, until the last table is gone.
pub(crate) async fn run(setting: &Setting, n: u64) -> Result<Sample> {
    let flow = Flow::log();
    let mut stage = Stage::set(setting, true).await?;
    flow.publish(&stage).await?;
    stage.warm_up("flow", &flow.input, flow.steps).await?;
    // Two workers are there all the time: the one that deletes takes the place of another.
    stage.add_worker().await?;
    plant(&stage, n).await?;
    stage.database.checkpoint().await?;

    let load = Load { in_flight: CALLERS, ..stage.load.clone() };
    let before = rate(&load, &flow, WATCHED).await?;
    stage.stop_workers().await?;
    let reading = stage.begin().await?;
    let clock = Instant::now();
    stage.add_worker().await?;
    let gone = AtomicBool::new(false);
    let (started, gone) = tokio::join!(until_gone(&load, &flow, &gone), watch(&stage, &gone));
    let (started, meanwhile) = started?;
    let removed = gone?.duration_since(clock).as_secs_f64();
    let sample = stage.end(reading, started, flow.steps).await?;
    let after = rate(&load, &flow, WATCHED).await?;
    stage.drained().await?;
    let stored = stage.database.count().await?;
    ensure!(stored.attempts == stored.succeeded, "steps ran twice: {stored:?}");
    stage.strike().await?;
    let undisturbed = f64::midpoint(before, after);
    let more = [
        ("removed_seconds", removed),
        ("before_per_second", before),
        ("after_per_second", after),
        ("slower_percent", (1.0 - meanwhile / undisturbed) * 100.0),
    ];
    let more = more.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Ok(Sample { executions_per_second: meanwhile, more, ..sample })
}

/// Executions of one step that ended eight weeks ago, as the product writes them.
async fn plant(stage: &Stage<'_>, n: u64) -> Result<()> {
    let week =
        "(date_trunc('week', now() at time zone 'utc') at time zone 'utc' - interval '8 weeks')";
    let partition = "do $$ declare week timestamptz := WEEK; parent text; begin
        foreach parent in array array['executions', 'attempts', 'families'] loop
            execute format('create table stateflow.%I partition of stateflow.%I for values from (%L) to (%L)',
                parent || '_' || to_char(week at time zone 'utc', 'YYYYMMDD'), parent,
                stateflow.uuid_at(week), stateflow.uuid_at(week + interval '7 days'));
        end loop; end $$";
    let executions = format!(
        "insert into stateflow.executions
             (id, namespace_id, workflow_id, version, status, records, state, input, output, started_at, finished_at)
         select (left(stateflow.uuid_at(at)::text, 23) || right(gen_random_uuid()::text, 13))::uuid,
                e.namespace_id, e.workflow_id, e.version, e.status, e.records, e.state, e.input, e.output, at, at
         from generate_series(1, {n}) n
         cross join lateral (select WEEK + n * interval '6 days' / {n} as at) t
         cross join (select * from stateflow.executions where status = 'succeeded' limit 1) e"
    );
    let attempts = "insert into stateflow.attempts
             (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at, output, logs)
         select e.id, a.sequence, a.namespace_id, a.step_id, a.attempt, a.status, a.worker_id, e.finished_at, e.finished_at, a.output, a.logs
         from stateflow.executions e
         cross join (select * from stateflow.attempts limit 1) a
         where e.id < stateflow.uuid_at(WEEK + interval '7 days')";
    for statement in [
        partition,
        executions.as_str(),
        attempts,
        "vacuum analyze stateflow.executions, stateflow.attempts",
    ] {
        stage.database.execute(&statement.replace("WEEK", week)).await?;
    }
    Ok(())
}

/// Starts a second, over some time.
async fn rate(load: &Load, flow: &Flow, watched: Duration) -> Result<f64> {
    let (clock, mut started) = (Instant::now(), 0);
    while clock.elapsed() < watched {
        load.submit("flow", &flow.input, CHUNK).await?;
        started += CHUNK;
    }
    Ok(started as f64 / clock.elapsed().as_secs_f64())
}

/// How many were started until the week is gone, and how many a second.
async fn until_gone(load: &Load, flow: &Flow, gone: &AtomicBool) -> Result<(u64, f64)> {
    let (clock, mut started) = (Instant::now(), 0);
    while !gone.load(Ordering::Relaxed) {
        load.submit("flow", &flow.input, CHUNK).await?;
        started += CHUNK;
    }
    ensure!(started > 0, "there was nothing to delete");
    Ok((started, started as f64 / clock.elapsed().as_secs_f64()))
}

/// The instant at which the last table is gone. Looks rarely: looking is a load as well.
async fn watch(stage: &Stage<'_>, gone: &AtomicBool) -> Result<Instant> {
    while stage.database.number(LEFT).await? > 0.0 {
        tokio::time::sleep(POLL).await;
    }
    gone.store(true, Ordering::Relaxed);
    Ok(Instant::now())
}
