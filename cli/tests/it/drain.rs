//! A worker that is told to stop ends what it has begun.

use nix::sys::signal::Signal;
use testing::database;

use crate::ledger::Ledger;
use crate::processes::{ServerProcess, WorkerProcess};
use crate::workbench::Workbench;

/// A process whose log nobody reads any more works on, and stops when it is told to.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_does_not_keep_it_from_stopping() {
    let ledger = Ledger::open().await;
    let database = database().await;
    let bench = Workbench::new(database.url(), &ledger.url).await;
    let server = ServerProcess::with_unread_log(&bench.url, bench.data.path());
    bench.start(1).await;
    bench.reach("succeeded", 1).await;
    server.stop();
}

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
