//! A link that leads nowhere, or that is not written as it should be.

use std::fmt;

/// See the module.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The document or the rendered page, from the root of either.
    pub(crate) place: String,
    pub(crate) message: String,
}

impl Finding {
    pub(crate) fn new(place: &str, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What is wrong with the form of a link that leaves the documentation, if something is. Nobody is asked whether it is there:
/// a test must not depend on other people's servers.
pub(crate) fn fault_of_form(link: &str) -> Option<String> {
    if link.starts_with("mailto:") {
        return (!link.contains('@')).then(|| format!("`{link}` has no address"));
    }
    match url::Url::parse(link) {
        Ok(url) if !["http", "https"].contains(&url.scheme()) => {
            Some(format!("`{link}` is neither http nor https"))
        }
        Ok(url) if url.host_str().is_none_or(|host| !host.contains('.')) => {
            Some(format!("`{link}` has no public host"))
        }
        Ok(_) => None,
        Err(error) => Some(format!("`{link}` is not a URL: {error}")),
    }
}

/// Whether a link leads out, by its beginning.
pub(crate) fn is_external(link: &str) -> bool {
    let before_colon = link.split_once(':').map(|(scheme, _)| scheme);
    link.starts_with("//")
        || before_colon
            .is_some_and(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_out_are_judged_by_their_form() {
        assert_eq!(fault_of_form("https://cel.dev"), None);
        assert_eq!(fault_of_form("mailto:a@example.com"), None);
        for bad in ["https://", "https://nowhere/x", "ftp://example.com/", "mailto:a"] {
            assert!(fault_of_form(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn paths_are_not_taken_for_links_that_lead_out() {
        assert!(is_external("https://a.example") && is_external("//a.example"));
        assert!(!is_external("a.md#b:c") && !is_external("../a") && !is_external("#a"));
    }
}
