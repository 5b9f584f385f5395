//! Starting executions under idempotency keys.

use stateflow_store::starts::{NewExecution, Starter};
use stateflow_store::wakeups::Wakeups;

use crate::fixture::Fixture;

fn keyed(fixture: &Fixture, key: &str) -> NewExecution {
    NewExecution { idempotency_key: Some(key.to_owned()), ..fixture.execution() }
}

#[tokio::test]
async fn the_same_key_gives_the_same_execution_also_within_a_batch() {
    let fixture = Fixture::new().await;
    let batch =
        [keyed(&fixture, "a"), keyed(&fixture, "a"), keyed(&fixture, "b"), fixture.execution()];
    let started = fixture.store.start_executions(&batch).await.unwrap().unwrap();
    assert_eq!(started[0].id, started[1].id);
    assert_eq!(started.iter().filter(|it| it.fresh).count(), 3);
    let again = fixture.store.start_executions(&[keyed(&fixture, "b")]).await.unwrap().unwrap()[0];
    assert_eq!((again.id, again.fresh), (started[2].id, false));
    let worker = fixture.lasting_worker().await;
    assert_eq!(fixture.store.claim(worker, 9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn one_start_that_the_database_refuses_does_not_take_the_others_with_it() {
    let fixture = Fixture::new().await;
    let (starter, _writer) = Starter::open(fixture.store.clone(), Wakeups::default());
    let broken = NewExecution { input: "not json".into(), ..fixture.execution() };
    let starts = [
        starter.start(fixture.execution()),
        starter.start(broken),
        starter.start(fixture.execution()),
    ];
    let outcomes: Vec<_> =
        futures::future::join_all(starts).await.iter().map(Result::is_ok).collect();
    assert_eq!(outcomes, [true, false, true]);
}
