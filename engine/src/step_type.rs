//! What a step's `type` names: control flow such as `switch`, a native type such as `http`, or a plugin with the versions that
//! will do.

use std::fmt;
use std::str::FromStr;

use semver::VersionReq;

use crate::control::ControlType;

/// A parsed step type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepType {
    /// Carried out by the engine itself.
    Control(ControlType),
    /// Built in: one lower-case word.
    Native(String),
    /// Uploaded: `team/name`, with a version requirement (any, if there is none).
    Plugin(PluginReference),
}

/// Names a plugin and the versions of it that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginReference {
    /// `team/name`.
    pub name: String,
    /// The versions that will do.
    pub requirement: VersionReq,
}

/// Why a `type` is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StepTypeError(String);

impl FromStr for StepType {
    type Err = StepTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, requirement) = match text.split_once('@') {
            Some((name, requirement)) => (name, Some(requirement)),
            None => (text, None),
        };
        if !name.contains('/') {
            return match requirement {
                None if is_word(name) => Ok(ControlType::named(name)
                    .map_or_else(|| Self::Native(name.to_owned()), Self::Control)),
                None => Err(StepTypeError(format!("`{text}` is not a step type"))),
                Some(_) => {
                    Err(StepTypeError(format!("a built-in type has no version: write `{name}`")))
                }
            };
        }
        if !is_plugin_name(name) {
            return Err(StepTypeError(format!(
                "`{name}` is not a plugin name: it is `team/name`, of lower-case letters, digits and dashes"
            )));
        }
        let requirement = requirement.map_or(Ok(VersionReq::STAR), |text| {
            VersionReq::parse(text).map_err(|error| {
                StepTypeError(format!(
                    "`{text}` is not a version requirement such as `^1.2`: {error}"
                ))
            })
        })?;
        Ok(Self::Plugin(PluginReference { name: name.to_owned(), requirement }))
    }
}

impl fmt::Display for PluginReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.requirement)
    }
}

/// Whether a text is a plugin's name: `team/name`, each a word of at most 64 characters.
pub fn is_plugin_name(text: &str) -> bool {
    text.split_once('/').is_some_and(|(team, name)| is_word(team) && is_word(name))
}

fn is_word(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    starts_well && text.len() <= 64 && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_a_slash_are_native() {
        assert_eq!("http".parse(), Ok(StepType::Native("http".into())));
        assert_eq!("switch".parse(), Ok(StepType::Control(ControlType::Switch)));
        assert!("switch@1".parse::<StepType>().is_err());
        assert!("HTTP".parse::<StepType>().is_err());
        assert!("http@1".parse::<StepType>().is_err());
        assert!("".parse::<StepType>().is_err());
    }

    #[test]
    fn a_plugin_has_a_team_a_name_and_perhaps_versions() {
        let parsed: StepType = "acme/profile@^1.2".parse().unwrap();
        let StepType::Plugin(reference) = parsed else { panic!("a plugin") };
        assert_eq!(reference.name, "acme/profile");
        assert!(reference.requirement.matches(&"1.9.0".parse().unwrap()));
        assert!(!reference.requirement.matches(&"2.0.0".parse().unwrap()));
        for bad in ["acme/", "/x", "a/b/c", "Acme/x", "acme/x@", "acme/x@banana"] {
            assert!(bad.parse::<StepType>().is_err(), "{bad}");
        }
    }
}
