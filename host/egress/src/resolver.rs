//! From a host's name to its addresses. Whoever resolves does not judge: that is done with every answer, here or not.

use std::fmt;
use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

/// Something that knows the addresses of names.
#[async_trait]
pub trait Resolver: Send + Sync + fmt::Debug {
    /// The addresses of a name. The caller bounds its time and takes no more addresses than it wants.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// What the operating system is set up to ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
