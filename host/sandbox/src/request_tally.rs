//! What became of the requests of one attempt, by host.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::attempt::LogLevel;
use serde_json::json;

use crate::log_buffer::LogBuffer;

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
pub(crate) struct RequestTally(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    counts: RequestCounts,
    /// Method and host of what is under way, by a number.
    under_way: BTreeMap<u64, (String, String)>,
    next: u64,
}

/// A request that is under way. If it is dropped, or the attempt is over first, that goes on record as well: it may have
/// arrived.
pub(crate) struct UnderWay {
    tally: RequestTally,
    log: LogBuffer,
    number: u64,
}

/// Requests by host and outcome. Those that were denied have no host: a guest could make up any.
pub type RequestCounts = BTreeMap<(String, RequestOutcome), u64>;

impl RequestTally {
    pub(crate) fn begin(&self, log: &LogBuffer, method: &str, host: &str) -> UnderWay {
        let mut inner = self.inner();
        inner.next += 1;
        let number = inner.next;
        inner.under_way.insert(number, (method.to_owned(), host.to_owned()));
        UnderWay { tally: self.clone(), log: log.clone(), number }
    }

    pub(crate) fn count(&self, host: &str, outcome: RequestOutcome) {
        let counts = &mut self.inner().counts;
        let host = if outcome == RequestOutcome::Denied { "" } else { host };
        let mut key = (host.to_owned(), outcome);
        if counts.len() >= MAX_HOSTS && !counts.contains_key(&key) {
            OTHER_HOSTS.clone_into(&mut key.0);
        }
        *counts.entry(key).or_default() += 1;
    }

    /// The counts of an attempt that is over. What is still under way is given up.
    pub(crate) fn finish(&self, log: &LogBuffer) -> RequestCounts {
        let left = std::mem::take(&mut self.inner().under_way);
        for request in left.into_values() {
            self.give_up(log, &request);
        }
        std::mem::take(&mut self.inner().counts)
    }

    fn give_up(&self, log: &LogBuffer, (method, host): &(String, String)) {
        let message = format!("{method} {host} was given up before there was an answer");
        log.receipt(LogLevel::Warn, &message, json!({ "method": method, "host": host }));
        self.count(host, RequestOutcome::Failed);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    pub(crate) fn end(self, outcome: RequestOutcome) {
        let request = self.tally.inner().under_way.remove(&self.number);
        if let Some((_, host)) = request {
            self.tally.count(&host, outcome);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let request = self.tally.inner().under_way.remove(&self.number);
        if let Some(request) = request {
            self.tally.give_up(&self.log, &request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogLimits;

    fn log() -> LogBuffer {
        LogBuffer::new(LogLimits::default(), Arc::default())
    }

    #[test]
    fn what_is_dropped_or_left_under_way_is_on_record() {
        let (tally, log) = (RequestTally::default(), log());
        tally.begin(&log, "GET", "a.test").end(RequestOutcome::Answered);
        drop(tally.begin(&log, "POST", "b.test"));
        let left = tally.begin(&log, "PUT", "c.test");
        let counts = tally.finish(&log);
        let failed = |host: &str| counts.get(&(host.to_owned(), RequestOutcome::Failed)).copied();
        assert_eq!(
            [failed("a.test"), failed("b.test"), failed("c.test")],
            [None, Some(1), Some(1)]
        );
        let told: Vec<_> = log.finish().into_iter().map(|line| line.message).collect();
        assert_eq!(
            told,
            ["POST b.test", "PUT c.test"]
                .map(|it| format!("{it} was given up before there was an answer"))
        );
        drop(left);
        assert!(tally.finish(&log).is_empty(), "it is said once");
    }

    #[test]
    fn requests_are_counted_by_host_and_outcome_and_denials_by_none() {
        let (tally, log) = (RequestTally::default(), log());
        tally.count("a.test", RequestOutcome::Answered);
        tally.count("a.test", RequestOutcome::Answered);
        tally.count("a.test", RequestOutcome::Failed);
        for host in 0..1_000 {
            tally.count(&format!("{host}.test"), RequestOutcome::Denied);
        }
        let counts: Vec<_> = tally.finish(&log).into_iter().collect();
        let of = |host: &str, outcome| (host.to_owned(), outcome);
        assert_eq!(
            counts,
            [
                (of("", RequestOutcome::Denied), 1_000),
                (of("a.test", RequestOutcome::Answered), 2),
                (of("a.test", RequestOutcome::Failed), 1),
            ]
        );
        assert!(tally.finish(&log).is_empty());
    }

    #[test]
    fn only_so_many_hosts_are_told_apart() {
        let tally = RequestTally::default();
        for host in 0..MAX_HOSTS + 5 {
            tally.count(&format!("{host:03}.test"), RequestOutcome::Answered);
        }
        let counts = tally.finish(&log());
        assert_eq!(counts.len(), MAX_HOSTS + 1);
        assert_eq!(counts[&(OTHER_HOSTS.to_owned(), RequestOutcome::Answered)], 5);
    }
}
