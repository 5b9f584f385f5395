//! From a rule's text to the rule.

use std::collections::BTreeSet;
use std::str::FromStr;

use http::Method;
use url::{Host, Url};

use super::host::HostPattern;
use super::{MAX_METHODS, MAX_RULE_BYTES, PortPattern, Rule};
use crate::destination::Scheme;
use crate::path;

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Over the limit.
    #[error("the rule has {0} bytes; at most {MAX_RULE_BYTES} are allowed")]
    TooLong(usize),
    /// Something in it cannot be read.
    #[error(
        "the rule {rule:?} cannot be used: {fault}; write it like `GET,POST https://*.example.com:8443/v1`"
    )]
    Syntax {
        /// As it was written.
        rule: String,
        /// What is wrong.
        fault: String,
    },
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.len() > MAX_RULE_BYTES {
            return Err(RuleError::TooLong(text.len()));
        }
        read(text).map_err(|fault| RuleError::Syntax { rule: text.to_owned(), fault })
    }
}

impl TryFrom<String> for Rule {
    type Error = RuleError;

    fn try_from(text: String) -> Result<Self, RuleError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

fn read(text: &str) -> Result<Rule, String> {
    let (methods, target) = match text.split_once(' ') {
        Some((methods, target)) => (read_methods(methods)?, target),
        None => (BTreeSet::new(), text),
    };
    if let Some(odd) =
        target.chars().find(|c| c.is_whitespace() || c.is_control() || "@?#\\".contains(*c))
    {
        return Err(format!("{odd:?} has no meaning in it"));
    }
    let (scheme, rest) = match target.split_once("://") {
        Some((scheme, rest)) => (read_scheme(scheme)?, rest),
        None => (Some(Scheme::Https), target),
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (host, port) = split_port(authority);
    let (path, prefix) = read_path(path)?;
    let port = read_port(port, scheme)?;
    Ok(Rule { methods, scheme, host: read_host(host)?, port, path, prefix })
}

fn read_methods(text: &str) -> Result<BTreeSet<String>, String> {
    let mut methods = BTreeSet::new();
    for method in text.split(',') {
        let written = method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
        if !written || Method::from_bytes(method.as_bytes()).is_err() {
            return Err(format!("{method:?} is not a method in capital letters"));
        }
        methods.insert(method.to_owned());
    }
    if methods.len() > MAX_METHODS {
        return Err(format!("it names more than {MAX_METHODS} methods"));
    }
    Ok(methods)
}

fn read_scheme(text: &str) -> Result<Option<Scheme>, String> {
    match text {
        "*" => Ok(None),
        "http" => Ok(Some(Scheme::Http)),
        "https" => Ok(Some(Scheme::Https)),
        other => Err(format!("the scheme {other:?} is none of `http`, `https`, `*`")),
    }
}

/// The colons in `[::1]` are the address's own.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn read_host(text: &str) -> Result<HostPattern, String> {
    if text == "*" {
        return Ok(HostPattern::Any);
    }
    let (below, name) = match text.strip_prefix("*.") {
        Some(parent) => (true, parent),
        None => (false, text),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.contains('*') {
        return Err("`*` stands alone, or before a dot at the host's beginning".to_owned());
    }
    if name.split('.').any(str::is_empty) && !name.starts_with('[') {
        return Err("the host is missing, or has an empty label".to_owned());
    }
    match Host::parse(name).map_err(|error| format!("the host cannot be read: {error}"))? {
        Host::Domain(name) if below => Ok(HostPattern::Below(name)),
        _ if below => Err("nothing is below an address".to_owned()),
        Host::Domain(name) => Ok(HostPattern::Name(name)),
        Host::Ipv4(address) => Ok(HostPattern::Address(address.into())),
        Host::Ipv6(address) => Ok(HostPattern::Address(address.into())),
    }
}

fn read_port(text: Option<&str>, scheme: Option<Scheme>) -> Result<PortPattern, String> {
    let Some(text) = text else { return Ok(PortPattern::Default) };
    if text == "*" {
        return Ok(PortPattern::Any);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is neither a port nor `*`")),
        Ok(_) if !digits => Err(format!("{text:?} is neither a port nor `*`")),
        Ok(port) if scheme.is_some_and(|scheme| scheme.default_port() == port) => {
            Ok(PortPattern::Default)
        }
        Ok(port) => Ok(PortPattern::Exactly(port)),
    }
}

/// The prefix as a request for it would be sent, without the slash at its end.
fn read_path(text: &str) -> Result<(String, Vec<Vec<u8>>), String> {
    if text.contains('*') {
        return Err("a path is a prefix already: leave `*` out".to_owned());
    }
    let ambiguous = || "its path can be read in more than one way".to_owned();
    let written = path::segments(text).ok_or_else(ambiguous)?;
    let mut url = Url::parse("https://host/").expect("a constant URL");
    url.set_path(text);
    let prefix = path::segments(url.path()).ok_or_else(ambiguous)?;
    // `.` and `..` were taken out: the author meant something else than what is written.
    if prefix != written {
        return Err(ambiguous());
    }
    Ok((url.path().trim_end_matches('/').to_owned(), prefix))
}
