//! A worker that is told to stop ends what it has begun.

use nix::sys::signal::Signal;
use testing::database;

use crate::ledger::Ledger;
use crate::processes::WorkerProcess;
use crate::workbench::Workbench;

#[tokio::test(flavor = "multi_thread")]
async fn attempts_under_way_are_finished_and_nothing_is_lost() {
    let database = database().await;
    let mut ledger = Ledger::holding().await;
    let bench = Workbench::new(database.url(), &ledger.url).await;
    let ids = bench.start(20).await;
    let worker = WorkerProcess::start(&bench.url, bench.data.path());
    ledger.called(20).await;
    worker.signal(Signal::SIGTERM);
    ledger.answer();
    worker.await_end();

    for id in ids {
        assert_eq!(bench.attempts(id).await, ["succeeded"]);
    }
    assert!(bench.store.workers().await.unwrap().is_empty());
}
