//! One thing that may be called: `GET,POST https://*.example.com:8443/v1`.
//!
//! ```text
//! [METHOD[,METHOD]* ]SCHEME://HOST[:PORT][/PATH-PREFIX]
//! ```
//!
//! Without methods, any; without a port, the scheme's; without a path, all of them. `*` stands for any scheme, host or
//! port; `*.example.com` for what is below it, at any depth, but not for itself. A bare host means `https://` before it.

mod host;
mod syntax;

use std::collections::BTreeSet;
use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};

pub use syntax::RuleError;

use self::host::HostPattern;
use crate::destination::{Destination, Scheme};
use crate::path;

/// A rule is no longer than this.
pub const MAX_RULE_BYTES: usize = 512;
/// A rule names no more methods than this.
pub const MAX_METHODS: usize = 16;

/// What may be called. Its text is canonical: two rules with the same text allow the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    /// Empty: any.
    methods: BTreeSet<String>,
    /// `None`: both.
    scheme: Option<Scheme>,
    host: HostPattern,
    port: PortPattern,
    /// As it is written.
    path: String,
    /// As it is compared.
    prefix: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PortPattern {
    /// The scheme's.
    Default,
    Any,
    Exactly(u16),
}

impl Rule {
    /// Any method, scheme, host, port and path: addresses are still judged.
    pub fn anything() -> Self {
        Self {
            methods: BTreeSet::new(),
            scheme: None,
            host: HostPattern::Any,
            port: PortPattern::Any,
            path: String::new(),
            prefix: Vec::new(),
        }
    }

    /// The narrowest rule for this origin and method: what a denial proposes. It names no path: paths hold secrets.
    pub fn for_origin(destination: &Destination, method: &Method) -> Self {
        let scheme = destination.scheme();
        let port = match destination.port() {
            port if port == scheme.default_port() => PortPattern::Default,
            port => PortPattern::Exactly(port),
        };
        Self {
            methods: BTreeSet::from([method.as_str().to_owned()]),
            scheme: Some(scheme),
            host: HostPattern::of(destination),
            port,
            path: String::new(),
            prefix: Vec::new(),
        }
    }

    /// Whether this request is allowed by the rule.
    pub fn matches(&self, destination: &Destination, method: &Method) -> bool {
        let scheme = destination.scheme();
        (self.methods.is_empty() || self.methods.contains(method.as_str()))
            && self.scheme.is_none_or(|wanted| wanted == scheme)
            && self.port.allows(scheme, destination.port())
            && self.host.matches(destination)
            && self.allows_path(destination.path())
    }

    /// Whether everything that the other rule allows is allowed by this one.
    pub fn covers(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty() && self.methods.is_superset(&other.methods));
        methods
            && self.host.covers(&other.host)
            && other.prefix.starts_with(&self.prefix)
            && other.schemes().all(|scheme| {
                self.scheme.is_none_or(|wanted| wanted == scheme)
                    && self.port.covers(other.port, scheme)
            })
    }

    fn allows_path(&self, path: &str) -> bool {
        self.prefix.is_empty()
            || path::segments(path).is_some_and(|segments| segments.starts_with(&self.prefix))
    }

    fn schemes(&self) -> impl Iterator<Item = Scheme> + use<> {
        let wanted = self.scheme;
        [Scheme::Http, Scheme::Https]
            .into_iter()
            .filter(move |scheme| wanted.is_none_or(|wanted| wanted == *scheme))
    }
}

impl PortPattern {
    fn allows(self, scheme: Scheme, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Default => port == scheme.default_port(),
            Self::Exactly(wanted) => port == wanted,
        }
    }

    /// For one scheme, a pattern other than `*` means one port.
    fn covers(self, other: Self, scheme: Scheme) -> bool {
        match other {
            Self::Any => self == Self::Any,
            Self::Default => self.allows(scheme, scheme.default_port()),
            Self::Exactly(port) => self.allows(scheme, port),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, method) in self.methods.iter().enumerate() {
            write!(f, "{}{method}", if place == 0 { "" } else { "," })?;
        }
        if !self.methods.is_empty() {
            f.write_str(" ")?;
        }
        write!(f, "{}://{}", self.scheme.map_or("*", Scheme::as_str), self.host)?;
        match self.port {
            PortPattern::Default => {}
            PortPattern::Any => f.write_str(":*")?,
            PortPattern::Exactly(port) => write!(f, ":{port}")?,
        }
        f.write_str(&self.path)
    }
}

#[cfg(test)]
mod tests;
