//! How many requests a client may make: a bucket per client address that refills all the time, on each server for itself.
//!
//! Answers say how much is left, with the headers of draft-ietf-httpapi-ratelimit-headers-10. Probes and metrics are not counted:
//! whoever watches the system must not be shut out by who floods it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::error::ApiError;

/// How many seconds' worth of requests may come at once.
const BURST_SECONDS: u32 = 2;
/// After so many requests, clients that have not come for a while are forgotten.
const TIDY_EVERY: u64 = 10_000;

/// What each client may ask for.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Requests per second; none means as many as it likes.
    pub per_second: Option<NonZeroU32>,
    /// A proxy is in front that puts the client's address last into `X-Forwarded-For`. Without one, clients could write there
    /// what they like.
    pub behind_proxy: bool,
}

type Buckets =
    RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;

/// See the module.
pub(crate) struct Clients {
    limit: RateLimit,
    buckets: Option<(Quota, Buckets)>,
    asked: AtomicU64,
}

/// What an answer says of the client's bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    burst: u32,
    left: u32,
    /// Until there is more.
    wait: Duration,
}

impl Clients {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let buckets = limit.per_second.map(|per_second| {
            let burst = per_second.saturating_mul(BURST);
            let quota = Quota::per_second(per_second).allow_burst(burst);
            (quota, RateLimiter::keyed(quota).with_middleware())
        });
        Self { limit, buckets, asked: AtomicU64::new(0) }
    }

    pub(crate) fn are_behind_proxy(&self) -> bool {
        self.limit.behind_proxy
    }

    /// Takes a request off the client's bucket. `Err` if it is empty. None if nothing is counted.
    pub(crate) fn take(
        &self,
        path: &str,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Option<Allowance>, Allowance> {
        let Some((quota, buckets)) = &self.buckets else { return Ok(None) };
        let Some(client) = self.client(headers, extensions).filter(|_| !is_watching(path)) else {
            return Ok(None);
        };
        if self.asked.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
        let burst = quota.burst_size().get();
        let second = Duration::from_secs(1);
        match buckets.check_key(&client) {
            Ok(state) => {
                Ok(Some(Allowance { burst, left: state.remaining_burst_capacity(), wait: second }))
            }
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(Allowance { burst, left: 0, wait })
            }
        }
    }

    fn client(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let forwarded = || {
            let value = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            value.rsplit(',').next()?.trim().parse().ok()
        };
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let address = if self.limit.behind_proxy { forwarded() } else { None };
        Some(network(address.unwrap_or(peer.ip())))
    }
}

const BURST: NonZeroU32 = NonZeroU32::new(BURST_SECONDS).expect("it is not 0");

/// Whoever has an IPv6 address has 2^64 of them.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn is_watching(path: &str) -> bool {
    path.starts_with("/api/health") || path == "/api/metrics/prometheus"
}

impl Allowance {
    /// Says it in an answer.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        let seconds = self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0);
        let policy = format!("\"client\";q={};w={BURST_SECONDS}", self.burst);
        let state = format!("\"client\";r={};t={seconds}", self.left);
        for (name, text) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        }
    }

    /// The refusal.
    pub(crate) fn refuse(self) -> Response {
        let detail =
            "this client has made more requests than it may; try again after `Retry-After`";
        let refused = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail);
        let mut response = refused.into_response();
        let seconds = self.wait.as_secs() + 1;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(per_second: u32, behind_proxy: bool) -> Clients {
        Clients::new(RateLimit { per_second: NonZeroU32::new(per_second), behind_proxy })
    }

    fn from(address: &str) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 1)));
        extensions
    }

    #[test]
    fn a_bucket_empties_for_its_client_alone() {
        let (clients, none) = (clients(2, false), HeaderMap::new());
        let take = |from: &Extensions| clients.take("/api/workflows", &none, from);
        let one = from("10.0.0.1");
        let left: Vec<_> = (0..4).map(|_| take(&one).unwrap().unwrap().left).collect();
        assert_eq!(left, [3, 2, 1, 0]);
        let refused = take(&one).unwrap_err();
        assert!(refused.wait <= Duration::from_millis(500), "{refused:?}");
        assert_eq!(refused.refuse().headers()[header::RETRY_AFTER], "1");
        assert!(take(&from("10.0.0.2")).is_ok());
        assert_eq!(clients.take("/api/health/live", &none, &one), Ok(None));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let clients = clients(0, false);
        assert_eq!(clients.take("/", &HeaderMap::new(), &from("10.0.0.1")), Ok(None));
    }

    #[test]
    fn a_client_s_own_word_counts_only_behind_a_proxy() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("1.1.1.1, 2.2.2.2"));
        let peer = from("10.0.0.1");
        let of = |behind| clients(1, behind).client(&headers, &peer).unwrap().to_string();
        assert_eq!([of(false), of(true)], ["10.0.0.1", "2.2.2.2"]);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn an_answer_says_what_is_left() {
        let mut headers = HeaderMap::new();
        Allowance { burst: 20, left: 3, wait: Duration::from_millis(1_001) }.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], r#""client";q=20;w=2"#);
        assert_eq!(headers["ratelimit"], r#""client";r=3;t=2"#);
    }
}
