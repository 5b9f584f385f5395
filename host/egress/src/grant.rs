//! What one caller may do: rules of several parties that must all agree, ranges that an operator opened, and caps.

use http::Method;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::address::Private;
use crate::destination::Destination;
use crate::error::{Denial, EgressError};
use crate::rule::Rule;

/// A party has no more rules than this.
pub const MAX_RULES: usize = 256;
/// A grant has no more parties than this.
pub const MAX_PARTIES: usize = 8;

/// Somebody whose word counts, such as a namespace's policy, a plugin's version or a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// As it reads in a denial: `the namespace's policy`, `plugin acme/x`, `the step`.
    pub name: String,
    /// One of them must match. None: nothing is allowed.
    pub rules: Vec<Rule>,
}

/// How much one attempt may send and get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// Requests of an attempt; each redirect that is followed is one more.
    pub requests: u32,
    /// Requests of an attempt that are under way at one time; one more waits for its turn.
    pub at_once: u32,
    /// Bytes of a request's body.
    pub request_bytes: u64,
    /// Bytes of a response's body.
    pub response_bytes: u64,
    /// Bytes of a request's headers, and of a response's: names and values.
    pub header_bytes: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            requests: 20,
            at_once: 4,
            request_bytes: 1 << 20,
            response_bytes: 4 << 20,
            header_bytes: 32 << 10,
        }
    }
}

/// What one caller may do. It does not change: another grant has another digest, and other connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    parties: Vec<Party>,
    private: Private,
    caps: Caps,
    digest: [u8; 32],
}

impl Grant {
    /// All parties have to allow a request; without any party, nothing is allowed.
    pub fn new(parties: Vec<Party>, private: Private, caps: Caps) -> Result<Self, GrantError> {
        if parties.len() > MAX_PARTIES {
            return Err(GrantError::Parties(parties.len()));
        }
        if let Some(party) = parties.iter().find(|party| party.rules.len() > MAX_RULES) {
            return Err(GrantError::Rules { party: party.name.clone(), count: party.rules.len() });
        }
        let digest = digest(&parties, &private, caps);
        Ok(Self { parties, private, caps, digest })
    }

    /// Any host, by any method: what is left to judge are addresses and caps.
    pub fn any_host(private: Private, caps: Caps) -> Self {
        let party = Party { name: "the operator's policy".into(), rules: vec![Rule::anything()] };
        Self::new(vec![party], private, caps).expect("one party with one rule is within the limits")
    }

    /// Whose word counts.
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// The ranges that the operator opened.
    pub fn private(&self) -> &Private {
        &self.private
    }

    /// How much.
    pub fn caps(&self) -> &Caps {
        &self.caps
    }

    /// The same for the same grant, on every machine: SHA-256 over all that it consists of.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The rule of each party that allows the request; or who does not allow it, with the rule that would.
    ///
    /// A host that is an address is judged here too. A name's addresses are judged when it is resolved.
    pub fn allows(
        &self,
        destination: &Destination,
        method: &Method,
    ) -> Result<Vec<String>, EgressError> {
        if self.parties.is_empty() {
            return Err(Denial::by_rule("the grant", destination, method).into());
        }
        let mut rules = Vec::with_capacity(self.parties.len());
        for party in &self.parties {
            let rule = party.rules.iter().find(|rule| rule.matches(destination, method));
            let rule = rule.ok_or_else(|| Denial::by_rule(&party.name, destination, method))?;
            rules.push(rule.to_string());
        }
        if let Some(address) = destination.literal()
            && let Some(class) = self.private.refuses(address)
        {
            return Err(Denial::by_address(destination, address, class).into());
        }
        Ok(rules)
    }
}

/// Why there is no such grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Over the limit.
    #[error("a grant has {0} parties; at most {MAX_PARTIES} are possible")]
    Parties(usize),
    /// Over the limit.
    #[error("{party} has {count} egress rules; at most {MAX_RULES} are possible")]
    Rules {
        /// Whose they are.
        party: String,
        /// How many there are.
        count: usize,
    },
}

/// Each part is preceded by its length, so that no two grants are written the same.
fn digest(parties: &[Party], private: &Private, caps: Caps) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    add(&(parties.len() as u64).to_be_bytes());
    for party in parties {
        add(party.name.as_bytes());
        let mut rules: Vec<_> = party.rules.iter().map(Rule::to_string).collect();
        rules.sort();
        add(&(rules.len() as u64).to_be_bytes());
        for rule in rules {
            add(rule.as_bytes());
        }
    }
    add(&(private.ranges().len() as u64).to_be_bytes());
    for range in private.ranges() {
        add(range.to_string().as_bytes());
    }
    let Caps { requests, at_once, request_bytes, response_bytes, header_bytes } = caps;
    for number in [requests, at_once, header_bytes].map(u64::from) {
        add(&number.to_be_bytes());
    }
    add(&request_bytes.to_be_bytes());
    add(&response_bytes.to_be_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str, rules: &[&str]) -> Party {
        Party { name: name.into(), rules: rules.iter().map(|rule| rule.parse().unwrap()).collect() }
    }

    fn grant(parties: Vec<Party>) -> Grant {
        Grant::new(parties, Private::default(), Caps::default()).unwrap()
    }

    fn verdict(grant: &Grant, url: &str) -> Result<Vec<String>, EgressError> {
        grant.allows(&Destination::parse(url).unwrap(), &Method::POST)
    }

    #[test]
    fn all_parties_have_to_agree_and_a_denial_names_who_did_not_and_the_rule() {
        let both = grant(vec![
            party("the namespace's policy", &["https://*.example.com"]),
            party("the step", &["GET https://b.example.com", "POST https://a.example.com"]),
        ]);
        assert_eq!(
            verdict(&both, "https://a.example.com/x").unwrap(),
            ["https://*.example.com", "POST https://a.example.com"]
        );
        for (url, party) in
            [("https://b.example.com/?hush", "the step"), ("https://c.net/", "the namespace's")]
        {
            let Err(EgressError::Denied(denial)) = verdict(&both, url) else { panic!("{url}") };
            let proposed = denial.allow.as_deref().unwrap();
            assert!(denial.reason.contains(party), "{denial:?}");
            assert!(
                proposed
                    .parse::<Rule>()
                    .unwrap()
                    .matches(&Destination::parse(url).unwrap(), &Method::POST)
            );
            assert!(!denial.to_string().contains("hush"));
        }
    }

    #[test]
    fn without_a_party_or_without_a_rule_nothing_is_allowed() {
        assert!(verdict(&grant(vec![]), "https://a.example/").is_err());
        assert!(verdict(&grant(vec![party("the step", &[])]), "https://a.example/").is_err());
    }

    #[test]
    fn the_digest_is_the_same_for_the_same_grant_alone() {
        let rules = ["https://a.example", "https://b.example"];
        let one = grant(vec![party("p", &rules)]);
        assert_eq!(one.digest(), grant(vec![party("p", &[rules[1], rules[0]])]).digest());
        let opened = Grant::new(vec![party("p", &rules)], Private::loopback(), Caps::default());
        let more = Caps { requests: 21, ..Caps::default() };
        for other in [
            grant(vec![party("q", &rules)]),
            grant(vec![party("p", &rules[..1])]),
            grant(vec![party("p", &rules[..1]), party("", &rules[1..])]),
            opened.unwrap(),
            Grant::new(vec![party("p", &rules)], Private::default(), more).unwrap(),
        ] {
            assert_ne!(one.digest(), other.digest(), "{other:?}");
        }
    }

    #[test]
    fn a_grant_has_at_most_8_parties_with_256_rules_each() {
        for (count, fits) in [(7, true), (8, true), (9, false)] {
            let parties = vec![party("p", &[]); count];
            let made = Grant::new(parties, Private::default(), Caps::default());
            assert_eq!(made.is_ok(), fits, "{count}");
        }
        for (count, fits) in [(255, true), (256, true), (257, false)] {
            let rules = vec![Rule::anything(); count];
            let parties = vec![Party { name: "p".into(), rules }];
            let made = Grant::new(parties, Private::default(), Caps::default());
            assert_eq!(made.is_ok(), fits, "{count}");
        }
    }
}
