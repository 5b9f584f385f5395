//! Why a request was not made, or has no answer. No message has a path, a query or a header: they hold secrets.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use http::Method;
use ipnet::IpNet;

use crate::address::Class;
use crate::destination::Destination;
use crate::dns::DnsFault;
use crate::rule::Rule;

/// What came of a request that has no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The policy says no.
    #[error("{0}")]
    Denied(Box<Denial>),
    /// A secret may not go there.
    #[error(
        "the secret `{name}` may not be sent to {destination}: set it with `{destination}` among its destinations"
    )]
    Secret {
        /// The secret's name.
        name: String,
        /// Scheme, host and port.
        destination: String,
    },
    /// A redirect would take a body with a secret to another origin.
    #[error(
        "a redirect leads to {destination}, and the request's body holds a secret, which may not go along"
    )]
    SecretRedirected {
        /// Scheme, host and port.
        destination: String,
    },
    /// The request is not one that can be sent.
    #[error("{message}")]
    Invalid {
        /// What is wrong with it.
        message: String,
    },
    /// No connection.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// Where to.
        host: String,
        /// Why not.
        cause: String,
    },
    /// No secure connection.
    #[error("no secure connection to {host}: {cause}")]
    Tls {
        /// Where to.
        host: String,
        /// Why not.
        cause: String,
    },
    /// The deadline passed.
    #[error("{host} did not answer in time")]
    Timeout {
        /// Who did not.
        host: String,
    },
    /// The connection broke before the response was complete.
    #[error("the connection to {host} broke: {cause}")]
    Broken {
        /// Where to.
        host: String,
        /// How.
        cause: String,
    },
    /// Over a cap of bytes.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is.
        what: Part,
        /// The cap.
        limit: u64,
    },
    /// Over the cap of requests.
    #[error("the attempt has made its {limit} requests")]
    TooMany {
        /// The cap.
        limit: u32,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client: {cause}")]
    Setup {
        /// Why not.
        cause: String,
    },
}

/// What is capped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Names and values of the request's headers.
    RequestHeaders,
    /// The request's body.
    RequestBody,
    /// Names and values of the response's headers.
    ResponseHeaders,
    /// The response's body.
    ResponseBody,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestHeaders => "the request's header block",
            Self::RequestBody => "the request's body",
            Self::ResponseHeaders => "the response's header block",
            Self::ResponseBody => "the response's body",
        })
    }
}

/// A "no" of the policy, with what would make it a "yes".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Scheme, host and port.
    pub destination: String,
    /// Why.
    pub reason: String,
    /// The class of the address; `None` if a rule is missing.
    pub class: Option<Class>,
    /// The rule, or the range, that would allow it; `None` if nothing can.
    pub allow: Option<String>,
}

impl Denial {
    pub(crate) fn by_rule(party: &str, destination: &Destination, method: &Method) -> Self {
        Self {
            destination: destination.origin(),
            reason: format!("no rule of {party} allows {method} to it"),
            class: None,
            allow: Some(Rule::for_origin(destination, method).to_string()),
        }
    }

    pub(crate) fn by_address(destination: &Destination, address: IpAddr, class: Class) -> Self {
        Self {
            destination: destination.origin(),
            reason: format!("{address} is {}", class.reason()),
            class: Some(class),
            allow: class.can_be_opened().then(|| IpNet::from(address.to_canonical()).to_string()),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destination, reason, class, allow } = self;
        write!(f, "{destination} is denied: {reason}; ")?;
        match (allow, class) {
            (Some(rule), None) => write!(f, "the rule `{rule}` would allow it"),
            (Some(range), Some(_)) => {
                write!(f, "an operator can open it with `--egress-allow-cidr {range}`")
            }
            (None, _) => f.write_str("nothing can allow it"),
        }
    }
}

impl From<Denial> for EgressError {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}

impl EgressError {
    /// What the HTTP client's error means.
    pub(crate) fn of(error: reqwest::Error, to: &Destination, header_bytes: u32) -> Self {
        let (host, error) = (to.host(), error.without_url());
        if let Some(fault) = causes(&error).find_map(|cause| cause.downcast_ref::<DnsFault>()) {
            return match fault {
                DnsFault::Refused(address, class) => {
                    Denial::by_address(to, *address, *class).into()
                }
                other => Self::Connect { host, cause: other.to_string() },
            };
        }
        let too_large = |cause: &(dyn Error + 'static)| {
            cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large)
        };
        if causes(&error).any(too_large) {
            return Self::TooLarge { what: Part::ResponseHeaders, limit: header_bytes.into() };
        }
        let cause = causes(&error).last().map(ToString::to_string).unwrap_or_default();
        if error.is_builder() {
            return Self::Invalid { message: format!("the request cannot be sent: {cause}") };
        }
        if causes(&error).any(is_tls) {
            return Self::Tls { host, cause };
        }
        if error.is_connect() {
            return Self::Connect { host, cause };
        }
        Self::Broken { host, cause }
    }
}

/// The error itself, what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.source();
        Some(current)
    })
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // An I/O error leaves what it was made of out of its chain of sources.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| is_tls(inner))
}
