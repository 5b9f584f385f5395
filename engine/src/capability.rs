//! What a plugin can ask for, and whether it asks for more than it was granted.
//!
//! A capability is written as its kind, and for some kinds what it is for: `log`, `http https://api.example.com`,
//! `secret stripe-key`. So a set of them is a set of texts: it can be stored, compared and shown as it is.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::placeholder::is_secret_name;

/// The longest capability, in bytes: a rule of egress with a long path.
const MAX_BYTES: usize = 1_024;

/// The most capabilities of one plugin.
pub const MAX_CAPABILITIES: usize = 200;

/// What kind of thing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CapabilityKind {
    /// Writing to the execution's log.
    Log,
    /// Reading clocks, and sleeping.
    Clock,
    /// Random numbers.
    Random,
    /// Payloads beside the JSON of input and output.
    Blob,
    /// Notes on how far it is, and being called again later.
    Progress,
    /// Requests, to what a rule of egress allows.
    Http,
    /// Using a secret without seeing it: a placeholder that is replaced on its way out.
    Secret,
    /// Having something signed with a secret.
    Sign,
    /// Seeing a secret.
    Reveal,
}

impl CapabilityKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Log,
        Self::Clock,
        Self::Random,
        Self::Blob,
        Self::Progress,
        Self::Http,
        Self::Secret,
        Self::Sign,
        Self::Reveal,
    ];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Blob => "blob",
            Self::Progress => "progress",
            Self::Http => "http",
            Self::Secret => "secret",
            Self::Sign => "sign",
            Self::Reveal => "reveal",
        }
    }

    /// Whether it reaches nothing outside the attempt, so that nobody has to be asked.
    pub fn is_harmless(self) -> bool {
        !self.has_subject()
    }

    /// Whether it is for something: a rule or a secret.
    fn has_subject(self) -> bool {
        matches!(self, Self::Http | Self::Secret | Self::Sign | Self::Reveal)
    }
}

/// One thing that a plugin can ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability {
    /// What kind of thing.
    pub kind: CapabilityKind,
    /// A rule of egress, or a secret's name; empty for the other kinds.
    pub subject: String,
}

impl Capability {
    /// A kind that is for nothing in particular.
    pub fn plain(kind: CapabilityKind) -> Self {
        Self { kind, subject: String::new() }
    }

    /// Of a kind, for something.
    pub fn of(kind: CapabilityKind, subject: impl Into<String>) -> Self {
        Self { kind, subject: subject.into() }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if self.subject.is_empty() { Ok(()) } else { write!(f, " {}", self.subject) }
    }
}

/// Why a text is no capability.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a capability such as `log`, `http https://api.example.com` or `secret api-key`"
)]
pub struct CapabilityError(String);

impl FromStr for Capability {
    type Err = CapabilityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, subject) = text.split_once(' ').unwrap_or((text, ""));
        let kind = CapabilityKind::ALL.into_iter().find(|kind| kind.as_str() == word);
        kind.filter(|kind| kind.has_subject() != subject.is_empty() && text.len() <= MAX_BYTES)
            .map(|kind| Self::of(kind, subject))
            .ok_or_else(|| CapabilityError(text.chars().take(120).collect()))
    }
}

impl Serialize for Capability {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a manifest asks for by name. What is not named here cannot be had, whatever the module imports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requested {
    /// What it wants to reach: rules such as `https://api.example.com` or `GET https://*.example.com/v1/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub hosts: Option<Vec<String>>,
    /// The secrets that it wants to use without seeing them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub secrets: Option<Vec<String>>,
    /// The secrets that it wants something signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub sign: Option<Vec<String>>,
    /// The secrets that it wants to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub reveal: Option<Vec<String>>,
}

/// A manifest and a module that do not go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where in the manifest.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Requested {
    /// What a module that imports these kinds asks for: each kind that is for something, for what the manifest names.
    pub fn with(
        &self,
        imported: &BTreeSet<CapabilityKind>,
    ) -> Result<CapabilitySet, Vec<Mismatch>> {
        let mut set: CapabilitySet = imported
            .iter()
            .copied()
            .filter(|kind| kind.is_harmless())
            .map(Capability::plain)
            .collect();
        let mut faults = Vec::new();
        for (kind, field, named) in [
            (CapabilityKind::Http, "hosts", &self.hosts),
            (CapabilityKind::Secret, "secrets", &self.secrets),
            (CapabilityKind::Sign, "sign", &self.sign),
            (CapabilityKind::Reveal, "reveal", &self.reveal),
        ] {
            match (named, imported.contains(&kind)) {
                (None, true) => faults.push(unnamed(kind, field)),
                (Some(named), false) if !named.is_empty() => faults.push(unneeded(kind, field)),
                (Some(named), true) => {
                    faults.extend(misnamed(kind, field, named));
                    set.0.extend(named.iter().map(|subject| Capability::of(kind, subject)));
                }
                _ => {}
            }
        }
        if set.0.len() > MAX_CAPABILITIES {
            faults.push(Mismatch {
                pointer: "/capabilities".into(),
                message: format!("{} capabilities, at most {MAX_CAPABILITIES}", set.0.len()),
                help: "name hosts by patterns such as `https://*.example.com`".into(),
            });
        }
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }

    /// Whether this is how the set was asked for, by whatever module it was.
    pub fn asks_for(&self, set: &CapabilitySet) -> bool {
        let named = [
            (CapabilityKind::Http, &self.hosts),
            (CapabilityKind::Secret, &self.secrets),
            (CapabilityKind::Sign, &self.sign),
            (CapabilityKind::Reveal, &self.reveal),
        ];
        let named = named.into_iter().filter(|(_, named)| named.is_some()).map(|(kind, _)| kind);
        let kinds = set.iter().map(|it| it.kind).chain(named).collect();
        self.with(&kinds).is_ok_and(|asked| asked == *set)
    }
}

/// Names that no secret can have: they are shown to whoever approves, and read back.
fn misnamed(kind: CapabilityKind, field: &str, named: &[String]) -> Vec<Mismatch> {
    let wrong = named.iter().enumerate().filter(|(_, name)| !is_secret_name(name));
    wrong
        .filter(|_| kind != CapabilityKind::Http)
        .map(|(at, name)| Mismatch {
            pointer: format!("/capabilities/{field}/{at}"),
            message: format!("`{}` is not the name of a secret", name.escape_debug()),
            help: "a letter, then letters, digits, `_`, `-` and `.`, at most 64".into(),
        })
        .collect()
}

fn unnamed(kind: CapabilityKind, field: &str) -> Mismatch {
    Mismatch {
        pointer: format!("/capabilities/{field}"),
        message: format!(
            "the module imports `{}`, and the manifest does not say for what",
            kind.as_str()
        ),
        help: format!(
            "name it in the manifest under `capabilities.{field}`; an empty list says that it needs none"
        ),
    }
}

fn unneeded(kind: CapabilityKind, field: &str) -> Mismatch {
    Mismatch {
        pointer: format!("/capabilities/{field}"),
        message: format!(
            "the manifest asks for `{}`, and the module does not import it",
            kind.as_str()
        ),
        help: format!("take `{field}` out of the manifest"),
    }
}

/// Everything that a plugin asks for, or was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CapabilitySet(BTreeSet<Capability>);

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl CapabilitySet {
    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Capability> {
        self.0.iter()
    }

    /// Whether there is one of this kind.
    pub fn has(&self, kind: CapabilityKind) -> bool {
        self.0.iter().any(|it| it.kind == kind)
    }

    /// What those of a kind are for.
    pub fn subjects(&self, kind: CapabilityKind) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |it| it.kind == kind).map(|it| it.subject.as_str())
    }

    /// What is here and not in `other`. `covers` says whether a rule of egress allows all that another does.
    pub fn beyond(&self, other: &Self, covers: impl Fn(&str, &str) -> bool) -> Vec<Capability> {
        let held = |asked: &&Capability| {
            other.0.contains(asked)
                || (asked.kind == CapabilityKind::Http
                    && other
                        .subjects(CapabilityKind::Http)
                        .any(|rule| covers(rule, &asked.subject)))
        };
        self.0.iter().filter(|asked| !held(asked)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(texts: &[&str]) -> CapabilitySet {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn kinds(kinds: &[CapabilityKind]) -> BTreeSet<CapabilityKind> {
        kinds.iter().copied().collect()
    }

    #[test]
    fn a_capability_is_read_as_it_is_written() {
        for text in ["log", "progress", "http GET https://a.example/v1", "secret key", "reveal key"]
        {
            assert_eq!(text.parse::<Capability>().unwrap().to_string(), text);
        }
        let long = format!("http https://{}", "a".repeat(MAX_BYTES));
        for text in ["", "log all", "http", "secret", "Log", "files", &long] {
            assert!(text.parse::<Capability>().is_err(), "{text}");
        }
        let at_the_limit = format!("secret {}", "a".repeat(MAX_BYTES - "secret ".len()));
        assert!(at_the_limit.parse::<Capability>().is_ok());
    }

    #[test]
    fn a_manifest_names_what_the_imports_are_for() {
        let imported = kinds(&[CapabilityKind::Log, CapabilityKind::Http]);
        let requested: Requested =
            serde_json::from_value(json!({ "hosts": ["https://a.example"] })).unwrap();
        let asked = requested.with(&imported).unwrap();
        assert_eq!(asked, set(&["log", "http https://a.example"]));
        let none: Requested = serde_json::from_value(json!({ "hosts": [] })).unwrap();
        assert_eq!(none.with(&imported).unwrap(), set(&["log"]));
    }

    #[test]
    fn names_that_no_secret_can_have_are_refused() {
        let imported = kinds(&[CapabilityKind::Secret]);
        let requested = Requested {
            secrets: Some(
                ["ok", "", "two words", "\u{1b}[2K", &"a".repeat(65)].map(str::to_owned).into(),
            ),
            ..Requested::default()
        };
        let places: Vec<_> =
            requested.with(&imported).unwrap_err().into_iter().map(|it| it.pointer).collect();
        assert_eq!(places, [1, 2, 3, 4].map(|at| format!("/capabilities/secrets/{at}")));
    }

    #[test]
    fn the_same_manifest_is_known_again_by_what_it_asked_for() {
        let requested = |hosts: &[&str]| Requested {
            hosts: Some(hosts.iter().map(|it| (*it).to_owned()).collect()),
            ..Requested::default()
        };
        let kept = set(&["log", "http https://a.example"]);
        assert!(requested(&["https://a.example"]).asks_for(&kept));
        for other in [requested(&[]), requested(&["https://b.example"]), Requested::default()] {
            assert!(!other.asks_for(&kept), "{other:?}");
        }
        assert!(requested(&[]).asks_for(&set(&["log"])));
        assert!(!requested(&["https://a.example"]).asks_for(&set(&["log"])));
    }

    #[test]
    fn a_manifest_that_claims_less_or_more_than_the_module_imports_is_refused_with_each_place() {
        let imported = kinds(&[CapabilityKind::Http, CapabilityKind::Sign]);
        let requested = Requested { secrets: Some(vec!["key".into()]), ..Requested::default() };
        let faults = requested.with(&imported).unwrap_err();
        let places: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(places, ["/capabilities/hosts", "/capabilities/secrets", "/capabilities/sign"]);
    }

    #[test]
    fn there_is_a_most() {
        let imported = kinds(&[CapabilityKind::Secret]);
        let asking = |count: usize| Requested {
            secrets: Some((0..count).map(|n| format!("s{n}")).collect()),
            ..Requested::default()
        };
        assert!(asking(MAX_CAPABILITIES).with(&imported).is_ok());
        let faults = asking(MAX_CAPABILITIES + 1).with(&imported).unwrap_err();
        assert_eq!(faults[0].pointer, "/capabilities");
    }

    #[test]
    fn what_goes_beyond_is_what_neither_stands_there_nor_is_covered() {
        let granted = set(&["log", "http https://*.example", "secret a"]);
        let covers =
            |one: &str, other: &str| one == "https://*.example" && other.ends_with(".example");
        let same = set(&["http https://x.example", "secret a"]);
        assert_eq!(same.beyond(&granted, covers), []);
        let more = set(&["log", "http https://other.test", "secret b", "reveal a"]);
        let beyond: Vec<_> =
            more.beyond(&granted, covers).iter().map(ToString::to_string).collect();
        assert_eq!(beyond, ["http https://other.test", "secret b", "reveal a"]);
    }
}
