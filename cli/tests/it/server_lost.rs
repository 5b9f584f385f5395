//! A database that goes away in the middle.

use testing::{StopMode, private_postgres};

use crate::ledger::Ledger;
use crate::processes::WorkerProcess;
use crate::workbench::Workbench;

#[tokio::test(flavor = "multi_thread")]
async fn executions_outlive_an_orderly_restart_of_postgres() {
    restart(StopMode::Fast).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_outlive_a_crash_of_postgres() {
    restart(StopMode::Immediate).await;
}

async fn restart(mode: StopMode) {
    let mut postgres = private_postgres().await;
    let mut ledger = Ledger::holding().await;
    let bench = Workbench::new(postgres.url(), &ledger.url).await;
    let ids = bench.start(200).await;
    let workers = [(); 2].map(|()| WorkerProcess::start(&bench.url, bench.data.path()));
    // Both hold all that they can, and all of it is under way.
    ledger.called(40).await;
    ledger.answer();
    postgres.restart(mode).await;
    bench.reach("succeeded", 200).await;
    workers.into_iter().for_each(WorkerProcess::stop);

    for id in ids {
        let attempts = bench.attempts(id).await;
        let succeeded = attempts.iter().filter(|it| *it == "succeeded").count();
        assert_eq!(succeeded, 1, "{id}: {attempts:?}");
    }
    bench.store.close().await;
}
