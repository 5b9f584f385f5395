//! Places for connections: so many in all, and for no client more than its share, so that one of them that is broken or
//! means no good does not keep out all others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// See the module.
pub(crate) struct Places {
    free: Arc<Semaphore>,
    share: usize,
    held: Held,
}

/// How many places each client has.
type Held = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A client's place: free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    client: IpAddr,
    held: Held,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many in all, and for one client.
    pub(crate) fn new(most: usize, share: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), share, held: Held::default() }
    }

    /// A place, as soon as one is free, for whoever comes next.
    pub(crate) async fn free(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.free).acquire_owned().await;
        permit.expect("nobody closes the semaphore")
    }

    /// Gives a place to a client; `None` if it has its share.
    pub(crate) fn give(&self, permit: OwnedSemaphorePermit, client: IpAddr) -> Option<Place> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(client).or_default();
        if *count >= self.share {
            return None;
        }
        *count += 1;
        Some(Place { client, held: Arc::clone(&self.held), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = held.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_has_its_share_and_leaves_the_rest_to_others() {
        let places = Places::new(4, 2);
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let first = places.give(places.free().await, one).unwrap();
        let second = places.give(places.free().await, one).unwrap();
        assert!(places.give(places.free().await, one).is_none());
        let third = places.give(places.free().await, other).unwrap();
        assert_eq!(places.free.available_permits(), 1, "a refusal takes no place");
        drop(first);
        assert!(places.give(places.free().await, one).is_some());
        drop((second, third));
        assert_eq!(places.free.available_permits(), 4);
        assert!(places.held.lock().unwrap().is_empty(), "who has gone is forgotten");
    }
}
