//! Claims, heartbeats, and what becomes of leases whose holder is gone.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use stateflow_store::journal::Disposition;
use uuid::Uuid;

use crate::fixture::{Fixture, write};

#[tokio::test(flavor = "multi_thread")]
async fn claimers_never_get_the_same_execution() {
    let fixture = Fixture::new().await;
    let started: HashSet<_> = fixture.start(200).await.into_iter().collect();
    let worker = fixture.lasting_worker().await;
    let claims = (0..40).map(|_| fixture.store.claim(worker, 7));
    let claimed: Vec<_> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();
    let distinct: HashSet<_> = claimed.iter().map(|it| it.execution_id).collect();
    assert_eq!(distinct.len(), claimed.len());
    assert_eq!(distinct, started);
    let epochs: HashSet<_> = claimed.iter().map(|it| it.lease_epoch).collect();
    assert_eq!(epochs.len(), 200, "every lease has a number of its own");
}

#[tokio::test]
async fn only_a_worker_whose_lease_is_alive_gets_anything() {
    let fixture = Fixture::new().await;
    fixture.start(1).await;
    assert!(fixture.store.claim(Uuid::now_v7(), 1).await.unwrap().is_empty());
    let lapsed = fixture.worker(Duration::ZERO).await;
    assert!(fixture.store.claim(lapsed, 1).await.unwrap().is_empty());
    let alive = fixture.lasting_worker().await;
    assert_eq!(fixture.store.claim(alive, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lost_workers_leases_come_free_and_it_leaves_the_list() {
    let fixture = Fixture::new().await;
    fixture.start(3).await;
    let doomed = fixture.lasting_worker().await;
    let first = fixture.store.claim(doomed, 3).await.unwrap();
    assert_eq!(fixture.store.expire_leases().await.unwrap(), 0, "it is alive");

    fixture.store.heartbeat(doomed, Duration::ZERO).await.unwrap();
    assert_eq!(fixture.store.expire_leases().await.unwrap(), 3);
    assert_eq!(fixture.store.expire_leases().await.unwrap(), 0);
    assert!(fixture.store.workers().await.unwrap().is_empty());
    assert_eq!(fixture.store.heartbeat(doomed, Duration::from_secs(1)).await.unwrap(), None);

    let other = fixture.lasting_worker().await;
    let second = fixture.store.claim(other, 3).await.unwrap();
    let newest = first.iter().map(|it| it.lease_epoch).max().unwrap();
    assert!(second.iter().all(|it| it.lease_epoch > newest), "lease numbers only grow");
    assert!(first.iter().all(|it| !it.lost), "nobody had them before");
    assert!(second.iter().all(|it| it.lost), "the next holder learns that they were lost");
}

#[tokio::test]
async fn a_lease_that_is_given_back_in_order_is_not_a_lost_one() {
    let fixture = Fixture::new().await;
    fixture.start(1).await;
    let worker = fixture.lasting_worker().await;
    let first = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    let given_back = write(&first, Disposition::Release(DateTime::<Utc>::UNIX_EPOCH));
    fixture.journal(worker).write(given_back).await.unwrap();
    let second = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    assert!(!second.lost);
    assert!(second.lease_epoch > first.lease_epoch);
}

#[tokio::test]
async fn what_no_driver_holds_is_given_back_and_nothing_else() {
    let fixture = Fixture::new().await;
    fixture.start(3).await;
    let worker = fixture.lasting_worker().await;
    let claimed = fixture.store.claim(worker, 3).await.unwrap();
    let held = [claimed[0].lease_epoch];
    assert_eq!(fixture.store.give_back_strays(worker, &held).await.unwrap(), 2);
    let again = fixture.store.claim(worker, 9).await.unwrap();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|it| it.execution_id != claimed[0].execution_id));
}
