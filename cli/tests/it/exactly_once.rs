//! Many worker processes on one queue: every step of every execution runs once.

use testing::database;

use crate::ledger::Ledger;
use crate::processes::WorkerProcess;
use crate::workbench::Workbench;

/// How often each race is run: what goes wrong now and then goes wrong here.
const REPETITIONS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn five_workers_share_a_hundred_executions() {
    race(5, 100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_share_five_thousand_executions() {
    race(8, 5_000).await;
}

async fn race(workers: usize, executions: usize) {
    for repetition in 0..REPETITIONS {
        let database = database().await;
        let ledger = Ledger::open().await;
        let bench = Workbench::new(database.url(), &ledger.url).await;
        let ids = bench.start(executions).await;
        let processes: Vec<_> = (0..workers)
            .map(|_| WorkerProcess::with_usual_lease(&bench.url, bench.data.path()))
            .collect();
        bench.reach("succeeded", executions).await;
        processes.into_iter().for_each(WorkerProcess::stop);

        let calls = ledger.calls_by_key();
        assert_eq!(calls.len(), executions, "repetition {repetition}: lost or invented");
        for id in ids {
            assert_eq!(
                calls[&format!("{id}.enter")],
                1,
                "repetition {repetition}: {id} was doubled"
            );
        }
        assert!(
            bench.store.workers().await.unwrap().is_empty(),
            "workers that stop leave the list"
        );
        bench.store.close().await;
    }
}
