//! Workers that die, and workers that only seem dead.

use nix::sys::signal::Signal;
use store::DEFAULT_NAMESPACE;
use testing::database;
use tokio::time::interval;

use crate::ledger::Ledger;
use crate::processes::WorkerProcess;
use crate::workbench::Workbench;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_executions_are_finished_by_another() {
    let database = database().await;
    let mut ledger = Ledger::holding().await;
    let bench = Workbench::new(database.url(), &ledger.url).await;
    let ids = bench.start(200).await;
    let doomed = WorkerProcess::start(&bench.url, bench.data.path());
    ledger.called(20).await;
    doomed.kill();
    ledger.answer();
    let survivor = WorkerProcess::start(&bench.url, bench.data.path());
    bench.reach("succeeded", 200).await;
    survivor.stop();

    let mut lost = 0;
    for id in &ids {
        let attempts = bench.attempts(*id).await;
        let succeeded = attempts.iter().filter(|it| *it == "succeeded").count();
        assert_eq!(succeeded, 1, "{id}: {attempts:?}");
        let died = attempts.iter().filter(|it| *it == "WORKER_LOST").count();
        assert_eq!(died + succeeded, attempts.len(), "{id}: {attempts:?}");
        lost += died;
    }
    assert_eq!(lost, 20, "the attempts that were under way say so, and no others");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_changes_nothing_when_it_comes_back() {
    let database = database().await;
    let mut ledger = Ledger::holding().await;
    let bench = Workbench::new(database.url(), &ledger.url).await;
    let id = bench.start(1).await[0];
    let paused = WorkerProcess::start(&bench.url, bench.data.path());
    ledger.called(1).await;
    paused.signal(Signal::SIGSTOP);
    let other = WorkerProcess::start(&bench.url, bench.data.path());
    ledger.called(2).await;
    ledger.answer();
    bench.reach("succeeded", 1).await;
    let (before, history) =
        (bench.store.execution(DEFAULT_NAMESPACE, id).await.unwrap(), bench.attempts(id).await);
    assert_eq!(history, ["WORKER_LOST", "succeeded"]);

    paused.signal(Signal::SIGCONT);
    let mut look = interval(std::time::Duration::from_millis(50));
    let late = loop {
        look.tick().await;
        let late = bench.store.late_results(id).await.unwrap();
        if !late.is_empty() {
            break late;
        }
    };
    assert_eq!((late.len(), late[0].attempt, late[0].status.as_str()), (1, 1, "succeeded"));
    let after = bench.store.execution(DEFAULT_NAMESPACE, id).await.unwrap();
    assert_eq!((after.state, after.finished_at), (before.state, before.finished_at));
    assert_eq!(bench.attempts(id).await, history);
    paused.stop();
    other.stop();
}
