//! Where a request goes, in the one form that rules are compared with and that is sent.
//!
//! The `url` crate canonicalises as browsers do: IDNA, lower case, IPv4 written in decimal, octal or hexadecimal,
//! dot segments. What it leaves open is closed here: a trailing dot, user information, other schemes.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::error::EgressError;

/// Longer URLs are refused by common servers.
pub const MAX_URL_BYTES: usize = 8 * 1024;

/// The two schemes that anything is sent by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is written.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A canonical URL with its parts: scheme, host, port, path and query. It has no user information and no fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    url: Url,
    scheme: Scheme,
    host: Host<String>,
    port: u16,
}

impl Destination {
    /// Reads an absolute URL. Its text is in no message: it may hold a secret.
    pub fn parse(text: &str) -> Result<Self, EgressError> {
        if text.len() > MAX_URL_BYTES {
            let length = text.len();
            return Err(invalid(format!(
                "the URL has {length} bytes; at most {MAX_URL_BYTES} are sent"
            )));
        }
        let url = Url::parse(text)
            .map_err(|error| invalid(format!("the URL is not an absolute one: {error}")))?;
        Self::of(url)
    }

    /// Canonicalises what was parsed.
    pub fn of(mut url: Url) -> Result<Self, EgressError> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => {
                return Err(invalid(format!(
                    "the URL has the scheme `{other}`: use http or https"
                )));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "the URL has a user name or a password: send them in the header `Authorization`",
            ));
        }
        strip_trailing_dot(&mut url)?;
        url.set_fragment(None);
        let host = url.host().ok_or_else(|| invalid("the URL has no host"))?.to_owned();
        let port = url.port().unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(invalid("the URL has the port 0, which nobody listens on"));
        }
        Ok(Self { url, scheme, host, port })
    }

    /// By which scheme it is sent.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host as it is written in a URL: a name in lower case, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// The host's name, unless it is an address.
    pub fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Domain(name) => Some(name),
            Host::Ipv4(_) | Host::Ipv6(_) => None,
        }
    }

    /// The host's address, if that is what the URL names.
    pub fn literal(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some((*address).into()),
            Host::Ipv6(address) => Some((*address).into()),
        }
    }

    /// The port, written or not.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path as it is sent.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The whole URL as it is sent. Not for messages: it may hold a secret.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// `scheme://host[:port]`: what may stand in a message, and what a rule for all of it looks like.
    pub fn origin(&self) -> String {
        let (scheme, host) = (self.scheme.as_str(), &self.host);
        match self.url.port() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }

    /// Whether credentials for one may be shown to the other.
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }
}

/// The origin alone: paths and queries hold secrets.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({self})")
    }
}

/// `example.com.` is the same host, but would be another text to compare.
fn strip_trailing_dot(url: &mut Url) -> Result<(), EgressError> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    let Some(stripped) = name.strip_suffix('.') else { return Ok(()) };
    if stripped.is_empty() || stripped.ends_with('.') {
        return Err(invalid("the URL's host has an empty label"));
    }
    let stripped = stripped.to_owned();
    url.set_host(Some(&stripped)).map_err(|_| invalid("the URL's host is not a name"))
}

fn invalid(message: impl Into<String>) -> EgressError {
    EgressError::Invalid { message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Option<String> {
        Destination::parse(text).ok().map(|destination| destination.origin())
    }

    #[test]
    fn every_way_to_write_a_host_becomes_one() {
        for (text, expected) in [
            ("HTTPS://API.Example.COM./x", "https://api.example.com"),
            ("https://api.example.com:443/", "https://api.example.com"),
            ("http://api.example.com:443/", "http://api.example.com:443"),
            ("https://bücher.example/", "https://xn--bcher-kva.example"),
            ("http://2130706433/", "http://127.0.0.1"),
            ("http://0x7f000001/", "http://127.0.0.1"),
            ("http://0177.0.0.1/", "http://127.0.0.1"),
            ("http://127.1/", "http://127.0.0.1"),
            ("http://127.0.0.1./", "http://127.0.0.1"),
            ("http://%31%32%37.0.0.1/", "http://127.0.0.1"),
            ("http://①②⑦.0.0.1/", "http://127.0.0.1"),
            ("http://[0:0:0:0:0:FFFF:7f00:1]:80/", "http://[::ffff:7f00:1]"),
        ] {
            assert_eq!(origin(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_hides_the_host_or_is_not_http_is_refused() {
        for text in [
            "http://user@example.com/",
            "http://user:password@example.com/",
            "http://:password@example.com/",
            "http://example.com@127.0.0.1/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "data:text/plain,x",
            "http://",
            "https:///",
            "http://./",
            "http://example.com../",
            "http://example.com:0/",
            "http://[fe80::1%25eth0]/",
            "http://exa mple.com/",
            "example.com",
            "/relative",
            "",
        ] {
            assert_eq!(origin(text), None, "{text}");
        }
    }

    #[test]
    fn a_url_has_at_most_8_kib() {
        let url = |bytes: usize| format!("http://a/{}", "x".repeat(bytes - "http://a/".len()));
        for (bytes, fits) in
            [(MAX_URL_BYTES - 1, true), (MAX_URL_BYTES, true), (MAX_URL_BYTES + 1, false)]
        {
            assert_eq!(Destination::parse(&url(bytes)).is_ok(), fits, "{bytes}");
        }
    }

    #[test]
    fn messages_show_neither_path_nor_query() {
        let destination = Destination::parse("https://a.example/hush?token=hush#hush").unwrap();
        assert!(!format!("{destination} {destination:?}").contains("hush"));
        assert!(!destination.url().as_str().contains('#'));
    }
}
