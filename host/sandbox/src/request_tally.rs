//! What became of the requests of one attempt, by host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Hosts of one attempt that are told apart; the rest is [`OTHER_HOSTS`].
const MAX_HOSTS: usize = 32;

/// Stands for the hosts that are not told apart.
pub const OTHER_HOSTS: &str = "other";

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestOutcome {
    /// There was a response, whatever it said.
    Answered,
    /// It was let out, and no whole response came back.
    Failed,
    /// It was not let out.
    Denied,
}

impl RequestOutcome {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Denied => "denied",
        }
    }
}

/// See the module. Cheap to clone: the guest's interfaces and the attempt's report share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestTally(Arc<Mutex<RequestCounts>>);

/// Requests by host and outcome. Those that were denied have no host: a guest could make up any.
pub type RequestCounts = BTreeMap<(String, RequestOutcome), u64>;

impl RequestTally {
    pub(crate) fn count(&self, host: &str, outcome: RequestOutcome) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let host = if outcome == RequestOutcome::Denied { "" } else { host };
        let mut key = (host.to_owned(), outcome);
        if counts.len() >= MAX_HOSTS && !counts.contains_key(&key) {
            OTHER_HOSTS.clone_into(&mut key.0);
        }
        *counts.entry(key).or_default() += 1;
    }

    pub(crate) fn take(&self) -> RequestCounts {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_host_and_outcome_and_denials_by_none() {
        let tally = RequestTally::default();
        tally.count("a.test", RequestOutcome::Answered);
        tally.count("a.test", RequestOutcome::Answered);
        tally.count("a.test", RequestOutcome::Failed);
        for host in 0..1_000 {
            tally.count(&format!("{host}.test"), RequestOutcome::Denied);
        }
        let counts: Vec<_> = tally.take().into_iter().collect();
        let of = |host: &str, outcome| (host.to_owned(), outcome);
        assert_eq!(
            counts,
            [
                (of("", RequestOutcome::Denied), 1_000),
                (of("a.test", RequestOutcome::Answered), 2),
                (of("a.test", RequestOutcome::Failed), 1),
            ]
        );
        assert!(tally.take().is_empty());
    }

    #[test]
    fn only_so_many_hosts_are_told_apart() {
        let tally = RequestTally::default();
        for host in 0..MAX_HOSTS + 5 {
            tally.count(&format!("{host:03}.test"), RequestOutcome::Answered);
        }
        let counts = tally.take();
        assert_eq!(counts.len(), MAX_HOSTS + 1);
        assert_eq!(counts[&(OTHER_HOSTS.to_owned(), RequestOutcome::Answered)], 5);
    }
}
