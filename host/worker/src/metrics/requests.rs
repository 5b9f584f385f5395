//! What a worker counts of plugins' requests. How many hosts are told apart is bounded: a rule such as `*.example.com`
//! lets a guest choose names without end.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounterVec, Opts, Registry};
use sandbox::{OTHER_HOSTS, RequestCounts};

/// Hosts of one plugin that are told apart; the rest is [`OTHER_HOSTS`].
const MAX_HOSTS: usize = 100;

/// See the module.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    requests: IntCounterVec,
    hosts: Mutex<HashMap<String, BTreeSet<String>>>,
}

impl RequestMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = Opts::new(
            "stateflow_plugin_requests_total",
            "requests that plugins made or were denied, by host (empty: denied) and outcome",
        );
        let requests = IntCounterVec::new(options, &["plugin", "host", "outcome"])?;
        registry.register(Box::new(requests.clone()))?;
        Ok(Self { requests, hosts: Mutex::default() })
    }

    pub(super) fn count(&self, plugin: &str, counts: &RequestCounts) {
        for ((host, outcome), requests) in counts {
            let labels = [plugin, self.label(plugin, host), outcome.as_str()];
            self.requests.with_label_values(&labels).inc_by(*requests);
        }
    }

    /// What a host is called here.
    fn label<'a>(&self, plugin: &str, host: &'a str) -> &'a str {
        let mut seen = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let hosts = seen.entry(plugin.to_owned()).or_default();
        if host.is_empty() || hosts.contains(host) {
            return host;
        }
        if hosts.len() >= MAX_HOSTS {
            return OTHER_HOSTS;
        }
        hosts.insert(host.to_owned());
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_hosts_of_a_plugin_are_told_apart_and_no_more() {
        let metrics = RequestMetrics::register(&Registry::new()).unwrap();
        for number in 0..MAX_HOSTS {
            let host = format!("{number}.test");
            assert_eq!(metrics.label("team/a", &host), host);
        }
        assert_eq!(metrics.label("team/a", "one-more.test"), OTHER_HOSTS);
        assert_eq!(metrics.label("team/a", "0.test"), "0.test");
        assert_eq!(metrics.label("team/a", ""), "", "denials have no host");
        assert_eq!(metrics.label("team/b", "one-more.test"), "one-more.test");
    }
}
