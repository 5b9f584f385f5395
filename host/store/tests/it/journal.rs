//! The one door for state: durable under a lease, refused without, never lost.

use chrono::{TimeDelta, Utc};
use engine::machine::Fact;
use stateflow_store::DEFAULT_NAMESPACE;
use stateflow_store::journal::{Disposition, Written};

use crate::fixture::{Fixture, write};

fn finish() -> Disposition {
    Disposition::Finish { output: Some(serde_json::json!("done").into()), failure: None }
}

#[tokio::test]
async fn a_write_under_a_lease_is_durable_whole() {
    let fixture = Fixture::new().await;
    let id = fixture.start(1).await[0];
    let worker = fixture.lasting_worker().await;
    let claimed = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    let journal = fixture.journal(worker);
    let written = journal.write(write(&claimed, finish())).await.unwrap();
    assert_eq!(written, Written::Durable { signals: 0 });

    let execution = fixture.store.execution(DEFAULT_NAMESPACE, id).await.unwrap();
    assert_eq!((execution.status.as_str(), execution.output), ("succeeded", Some("done".into())));
    assert!(execution.finished_at.is_some());
    assert_eq!(fixture.store.attempts(id, 0, 10).await.unwrap().len(), 1);
    assert!(fixture.store.queue_place(id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_large_write_keeps_no_small_one_waiting() {
    let fixture = Fixture::new().await;
    fixture.start(2).await;
    let worker = fixture.lasting_worker().await;
    let claimed = fixture.store.claim(worker, 2).await.unwrap();
    let journal = fixture.journal(worker);
    let mut large = write(&claimed[0], finish());
    large.records[0].output = Some(serde_json::json!("x".repeat(300 << 10)).into());
    let side = fixture.side().await;
    let mut holding = side.begin().await.unwrap();
    let lock = "select lease_epoch from stateflow.queue where execution_id = $1 for update";
    let lock = sqlx::query_scalar::<_, i64>(lock).bind(large.execution_id);
    lock.fetch_one(&mut *holding).await.unwrap();
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.write(large).await.unwrap() }
    });
    fixture.until_somebody_waits_for_a_lock().await;
    let small = journal.write(write(&claimed[1], finish())).await.unwrap();
    assert_eq!(small, Written::Durable { signals: 0 });
    assert!(!waiting.is_finished());
    holding.rollback().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Written::Durable { signals: 0 });
}

#[tokio::test]
async fn a_write_without_the_lease_changes_nothing_and_is_kept_as_late() {
    let fixture = Fixture::new().await;
    let id = fixture.start(1).await[0];
    let worker = fixture.lasting_worker().await;
    let stale = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    fixture.store.give_back_strays(worker, &[]).await.unwrap();
    // The same worker, under a later lease: the number alone tells them apart.
    fixture.store.claim(worker, 1).await.unwrap();
    let before = fixture.store.execution(DEFAULT_NAMESPACE, id).await.unwrap();

    let written = fixture.journal(worker).write(write(&stale, finish())).await.unwrap();
    assert_eq!(written, Written::Refused);
    let after = fixture.store.execution(DEFAULT_NAMESPACE, id).await.unwrap();
    assert_eq!((after.status, after.state), (before.status, before.state));
    assert!(fixture.store.attempts(id, 0, 10).await.unwrap().is_empty());
    let late = fixture.store.late_results(id).await.unwrap();
    assert_eq!((late.len(), late[0].lease_epoch), (1, stale.lease_epoch));
}

#[tokio::test]
async fn a_released_execution_is_due_when_it_was_told_to_be() {
    let fixture = Fixture::new().await;
    let id = fixture.start(1).await[0];
    let worker = fixture.lasting_worker().await;
    let claimed = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    let due = Utc::now() + TimeDelta::hours(1);
    fixture.journal(worker).write(write(&claimed, Disposition::Release(due))).await.unwrap();
    let place = fixture.store.queue_place(id).await.unwrap().unwrap();
    assert_eq!((place.worker_id, place.due_at.timestamp_micros()), (None, due.timestamp_micros()));
    assert!(fixture.store.claim(worker, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fact_that_the_writer_has_not_seen_is_never_slept_on() {
    let fixture = Fixture::new().await;
    let id = fixture.start(1).await[0];
    let worker = fixture.lasting_worker().await;
    let journal = fixture.journal(worker);
    let far = || Disposition::Release(Utc::now() + TimeDelta::hours(1));

    let claimed = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    let fact = Fact::Cancel { reason: None };
    let holder = fixture.store.post_fact(DEFAULT_NAMESPACE, id, &fact).await.unwrap();
    assert_eq!(holder, Some(worker));
    assert_eq!(fixture.store.signalled(worker).await.unwrap(), [id]);
    let written = journal.write(write(&claimed, far())).await.unwrap();
    assert_eq!(written, Written::Durable { signals: 1 });

    let again = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    assert_eq!(again.signals, 1, "it was due at once");
    let (posted, signals) = fixture.store.read_inbox(id).await.unwrap();
    assert_eq!((posted[0].fact.clone(), signals), (fact, 1));

    // The end of an execution does not swallow a fact either.
    fixture.store.post_fact(DEFAULT_NAMESPACE, id, &Fact::Retry).await.unwrap();
    let mut ending = write(&again, finish());
    ending.consumed = vec![posted[0].id];
    journal.write(ending).await.unwrap();
    let last = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    let (posted, signals) = fixture.store.read_inbox(last.execution_id).await.unwrap();
    assert_eq!((posted.len(), posted[0].fact.clone(), signals), (1, Fact::Retry, 2));
}

#[tokio::test]
async fn outputs_come_back_with_the_next_claim() {
    let fixture = Fixture::new().await;
    fixture.start(1).await;
    let worker = fixture.lasting_worker().await;
    let claimed = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    let mut released = write(&claimed, Disposition::Release(Utc::now()));
    let step = serde_json::json!({ "status": "succeeded", "attempts": 1 });
    released.state.steps.insert("s".to_owned(), serde_json::from_value(step).unwrap());
    fixture.journal(worker).write(released).await.unwrap();
    let again = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    assert_eq!(again.state.steps["s"].output.as_deref(), Some(&serde_json::json!({ "n": 1 })));
}
