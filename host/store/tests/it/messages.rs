//! Messages find who waits for them, all of them.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use engine::machine::{Listening, Subscription};
use stateflow_store::DEFAULT_NAMESPACE;
use stateflow_store::journal::{Disposition, KinAct, Write};
use stateflow_store::messages::NewEvent;
use stateflow_store::wakeups::Wakeups;
use uuid::Uuid;

use crate::fixture::{Fixture, write};

/// An execution that waits for events of a name, and is held by nobody.
async fn waiting(fixture: &Fixture, name: &str) -> Uuid {
    let id = fixture.start(1).await[0];
    let worker = fixture.worker(Duration::from_mins(10)).await;
    let claimed = fixture.store.claim(worker, 1).await.unwrap().remove(0);
    let later = Utc::now() + TimeDelta::days(1);
    let (name, since) = (name.to_owned(), Utc::now());
    let listening = Listening { visit: 1, name, since, asked: None, matching: None };
    let listen = KinAct::Listen {
        namespace_id: DEFAULT_NAMESPACE,
        subscription: Box::new(Subscription { listening, key: None }),
    };
    let write = Write { kin: vec![listen], ..write(&claimed, Disposition::Release(later)) };
    fixture.journal(worker).write(write).await.unwrap();
    id
}

fn event(name: &str, n: u32) -> NewEvent {
    NewEvent {
        id: Uuid::now_v7(),
        namespace_id: DEFAULT_NAMESPACE,
        name: name.to_owned(),
        data: n.to_string().into(),
        key: None,
        trace: None,
    }
}

#[tokio::test]
async fn one_delivery_brings_an_execution_all_that_it_may_be_waiting_for() {
    let fixture = Fixture::new().await;
    let (id, other) = (waiting(&fixture, "paid").await, waiting(&fixture, "sent").await);
    let events: Vec<_> = (0..3).map(|n| event("paid", n)).collect();
    fixture.store.post_events(&events.iter().collect::<Vec<_>>()).await.unwrap();
    let undelivered = fixture.store.undelivered(10).await.unwrap();
    let delivered =
        fixture.store.deliver(&undelivered, &HashMap::new(), &Wakeups::default()).await.unwrap();
    assert_eq!(delivered, 3);
    let (facts, signals) = fixture.store.read_inbox(id).await.unwrap();
    assert_eq!((facts.len(), signals), (3, 3));
    let place = fixture.store.queue_place(id).await.unwrap().unwrap();
    assert!(place.due_at <= Utc::now(), "it is due");
    assert_eq!(fixture.store.read_inbox(other).await.unwrap().0.len(), 0);
    assert!(fixture.store.undelivered(10).await.unwrap().is_empty());
}
