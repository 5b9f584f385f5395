//! One HTTP client, and so one pool of connections, per tenant and grant.
//!
//! A pooled connection was judged when it was made. Handed to somebody with another grant, it would carry the first
//! one's permission along.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use reqwest::Client;
use reqwest::redirect::Policy;

use crate::dns::VettedDns;
use crate::egress::EgressSettings;
use crate::error::EgressError;
use crate::grant::Grant;
use crate::resolver::Resolver;

/// So many tenants and grants keep their connections; the one that was used least is closed first.
const MAX_CLIENTS: u64 = 256;
/// Connections of whoever has not called for as long are closed.
const CLIENT_IDLE: Duration = Duration::from_mins(5);
/// A connection waits so long for the next request.
const CONNECTION_IDLE: Duration = Duration::from_mins(1);
/// So many connections to one host wait for the next request.
const IDLE_CONNECTIONS: usize = 8;

#[derive(Clone)]
pub(crate) struct Clients {
    settings: EgressSettings,
    resolver: Arc<dyn Resolver>,
    by_grant: Cache<(String, [u8; 32]), Client>,
}

impl Clients {
    pub(crate) fn new(settings: EgressSettings, resolver: Arc<dyn Resolver>) -> Self {
        let by_grant = Cache::builder().max_capacity(MAX_CLIENTS).time_to_idle(CLIENT_IDLE).build();
        Self { settings, resolver, by_grant }
    }

    /// The tenant's client for this grant.
    pub(crate) fn get(&self, tenant: &str, grant: &Grant) -> Result<Client, EgressError> {
        let key = (tenant.to_owned(), grant.digest());
        self.by_grant
            .try_get_with(key, || self.build(grant))
            .map_err(|error| EgressError::Setup { cause: error.to_string() })
    }

    fn build(&self, grant: &Grant) -> reqwest::Result<Client> {
        let dns = VettedDns {
            resolver: self.resolver.clone(),
            private: grant.private().clone(),
            timeout: self.settings.resolve_timeout,
        };
        Client::builder()
            .user_agent(self.settings.user_agent.clone())
            // A proxy would resolve for itself; and the environment is the command line's business.
            .no_proxy()
            // Hops are judged one by one.
            .redirect(Policy::none())
            .referer(false)
            .dns_resolver(dns)
            .connect_timeout(self.settings.connect_timeout)
            .http2_max_header_list_size(grant.caps().header_bytes)
            .pool_idle_timeout(CONNECTION_IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()
    }
}
