//! The connections that all `http` steps share: one client per number of redirects, made when first wanted.

use std::sync::OnceLock;
use std::time::Duration;

use engine::failure::{ErrorCode, Failure};
use reqwest::Client;
use reqwest::redirect::Policy;

/// No step follows more redirects than this.
pub(super) const MAX_REDIRECTS: u8 = 10;

/// Unless a step names its own.
const USER_AGENT: &str = concat!("stateflow/", env!("CARGO_PKG_VERSION"));

/// A client per redirect limit, because the limit belongs to the client.
pub(super) struct Clients {
    connect_timeout: Duration,
    by_redirects: [OnceLock<Client>; MAX_REDIRECTS as usize + 1],
}

impl Clients {
    /// Fails where TLS cannot be set up, so that a worker says so at its start.
    pub(super) fn new(connect_timeout: Duration) -> Result<Self, Failure> {
        let clients =
            Self { connect_timeout, by_redirects: std::array::from_fn(|_| OnceLock::new()) };
        let probe = clients.build(0).map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("cannot set up the HTTP client: {error}"))
        })?;
        let _ = clients.by_redirects[0].set(probe);
        Ok(clients)
    }

    /// The client that follows up to this many redirects.
    pub(super) fn following(&self, redirects: u8) -> &Client {
        self.by_redirects[usize::from(redirects)].get_or_init(|| {
            self.build(redirects)
                .expect("the same client with another redirect limit was built before")
        })
    }

    fn build(&self, redirects: u8) -> reqwest::Result<Client> {
        Client::builder()
            .user_agent(USER_AGENT)
            // The environment is the command line's business.
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .redirect(stop_after(redirects))
            .build()
    }
}

/// Beyond the limit, or where the way leads out of HTTP, the redirect itself is the response: the step then judges its
/// status like any other. Credentials in `Authorization` and `Cookie` do not travel to another host.
fn stop_after(limit: u8) -> Policy {
    Policy::custom(move |attempt| {
        let followable = matches!(attempt.url().scheme(), "http" | "https");
        // The first of the previous addresses is the request's own.
        if !followable || attempt.previous().len() > usize::from(limit) {
            attempt.stop()
        } else {
            attempt.follow()
        }
    })
}
