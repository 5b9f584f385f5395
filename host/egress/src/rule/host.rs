//! The host of a rule: one host, everything below a name, or any.

use std::fmt;
use std::net::IpAddr;

use crate::destination::Destination;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostPattern {
    Any,
    /// Below this name, at any depth; never an address.
    Below(String),
    Name(String),
    Address(IpAddr),
}

impl HostPattern {
    /// Exactly this destination's host.
    pub(super) fn of(destination: &Destination) -> Self {
        match (destination.literal(), destination.name()) {
            (Some(address), _) => Self::Address(address),
            (None, name) => Self::Name(name.unwrap_or_default().to_owned()),
        }
    }

    pub(super) fn matches(&self, destination: &Destination) -> bool {
        match self {
            Self::Any => true,
            Self::Below(parent) => destination.name().is_some_and(|name| is_below(name, parent)),
            Self::Name(wanted) => destination.name() == Some(wanted),
            Self::Address(wanted) => destination.literal() == Some(*wanted),
        }
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Below(parent), Self::Below(child)) => parent == child || is_below(child, parent),
            (Self::Below(parent), Self::Name(name)) => is_below(name, parent),
            (ours, theirs) => ours == theirs,
        }
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}
