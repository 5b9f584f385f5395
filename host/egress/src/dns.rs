//! The only way from a name to an address: resolved once for each new connection, judged, and connected to.
//!
//! Nothing is resolved before that "to check": an answer that was looked at and then asked for again can change in
//! between. Hosts that are addresses never come here, because the HTTP client connects to them at once; `grant` judges
//! those.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{Class, Private};
use crate::resolver::Resolver;

/// More addresses of a name are not looked at.
pub(crate) const MAX_ADDRESSES: usize = 16;

pub(crate) struct VettedDns {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) private: Private,
    pub(crate) timeout: Duration,
}

/// Why there is no address; found again in what the HTTP client reports.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum DnsFault {
    /// All of them are refused; this is the first.
    #[error("{0} is {reason}", reason = .1.reason())]
    Refused(IpAddr, Class),
    #[error("the name has no address")]
    Nothing,
    #[error("the name was not resolved within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("{0}")]
    Failed(Arc<std::io::Error>),
}

impl Resolve for VettedDns {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, private, timeout) =
            (self.resolver.clone(), self.private.clone(), self.timeout);
        Box::pin(async move {
            let resolving = resolver.resolve(name.as_str());
            let found = tokio::time::timeout(timeout, resolving)
                .await
                .map_err(|_| DnsFault::TimedOut(timeout))?
                .map_err(|error| DnsFault::Failed(Arc::new(error)))?;
            let vetted = vet(&private, found)?;
            // The port comes from the URL, or from its scheme.
            let addresses = vetted.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// The addresses that may be connected to, a mapped one as what it stands for.
fn vet(private: &Private, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, DnsFault> {
    let mut refused = None;
    let mut vetted = Vec::new();
    for address in found.into_iter().take(MAX_ADDRESSES) {
        let address = address.to_canonical();
        match private.refuses(address) {
            None => vetted.push(address),
            Some(class) => {
                refused.get_or_insert(DnsFault::Refused(address, class));
            }
        }
    }
    if vetted.is_empty() { Err(refused.unwrap_or(DnsFault::Nothing)) } else { Ok(vetted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_16_addresses_of_a_name_are_looked_at() {
        for (private, found) in [(15, 1), (16, 0)] {
            let mut answer = vec![IpAddr::from([10, 0, 0, 1]); private];
            answer.push(IpAddr::from([8, 8, 8, 8]));
            let vetted = vet(&Private::default(), answer);
            assert_eq!(vetted.map_or(0, |vetted| vetted.len()), found, "{private}");
        }
    }

    #[test]
    fn no_address_at_all_is_another_fault_than_a_refused_one() {
        let private = Private::default();
        assert!(matches!(vet(&private, vec![]), Err(DnsFault::Nothing)));
        let loopback = vec!["::ffff:127.0.0.1".parse().unwrap()];
        assert!(matches!(vet(&private, loopback), Err(DnsFault::Refused(IpAddr::V4(_), _))));
    }
}
