//! A step that suspends itself in the middle of its work: what it leaves behind, what wakes it, and what it is given then.
//!
//! A suspension ends an attempt. The worker, its slot and the guest's memory are free; the next attempt is given the state
//! that this one has left.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::definition::MAX_DURATION_MS;
use crate::expression::ExpressionError;
use crate::message::{MAX_NAME_BYTES, Match, is_event_name};

/// The most bytes of state that a step may leave behind.
pub const MAX_STATE_BYTES: usize = 64 * 1024;

/// The longest note of a step about how far it is, in bytes.
pub const MAX_NOTE_BYTES: usize = 500;

/// What a step asks for that suspends itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspension {
    /// What its next attempt is given.
    pub state: Checkpoint,
    /// When that begins.
    pub wake: Wake,
}

/// What ends a suspension.
#[derive(Clone, Debug, PartialEq)]
pub enum Wake {
    /// So many milliseconds have passed.
    After(u64),
    /// An instant; one that has passed is now.
    At(DateTime<Utc>),
    /// An event, or that it has not come in time.
    Event {
        /// Its name.
        name: String,
        /// An expression over `event` that is true for the event that is meant.
        matching: Option<String>,
        /// How long to wait for it, in milliseconds.
        timeout_ms: u64,
    },
}

/// Why a suspension is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuspensionError {
    /// It leaves more than [`MAX_STATE_BYTES`].
    #[error(
        "the state has {0} bytes, the limit is {MAX_STATE_BYTES}; keep what is larger elsewhere and its place in the state"
    )]
    StateTooLarge(usize),
    /// It is longer than any wait may be.
    #[error("a suspension may last {MAX_DURATION_MS} ms, this one would last longer")]
    TooLong,
    /// The event has a name that no event has.
    #[error("`{0}` is no name of an event: {MAX_NAME_BYTES} letters, digits and `._-/` at most")]
    EventName(String),
    /// The expression cannot be used.
    #[error("the expression for the event cannot be used: {0}")]
    Matching(#[from] ExpressionError),
    /// The expression reads what is not the event's.
    #[error("the expression for the event may read `event` and nothing else")]
    ReadsMore,
}

impl Suspension {
    /// Whether it can be: checked where it is asked for, so that the step hears of it.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), SuspensionError> {
        let size = self.state.0.len();
        if size > MAX_STATE_BYTES {
            return Err(SuspensionError::StateTooLarge(size));
        }
        match &self.wake {
            Wake::At(instant) => {
                let longest = TimeDelta::milliseconds(MAX_DURATION_MS.cast_signed());
                (*instant - now <= longest).then_some(()).ok_or(SuspensionError::TooLong)
            }
            Wake::After(ms) | Wake::Event { timeout_ms: ms, .. } if *ms > MAX_DURATION_MS => {
                Err(SuspensionError::TooLong)
            }
            Wake::Event { name, .. } if !is_event_name(name) => {
                let start = name.floor_char_boundary(MAX_NAME_BYTES);
                Err(SuspensionError::EventName(name[..start].to_owned()))
            }
            Wake::Event { matching: Some(matching), .. } => parse_match(matching).map(drop),
            Wake::After(_) | Wake::Event { matching: None, .. } => Ok(()),
        }
    }
}

/// The expression of a step that nobody has reviewed: of the execution it sees nothing.
pub(crate) fn parse_match(source: &str) -> Result<Match, SuspensionError> {
    let matching = Match::parse(source)?;
    if matching.whole.reads_only("event") { Ok(matching) } else { Err(SuspensionError::ReadsMore) }
}

/// What a step has left behind: bytes that mean something to nobody else. Stored in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint(pub Vec<u8>);

impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD.decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What an attempt is given that goes on after a suspension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resumption {
    /// What was left.
    pub state: Checkpoint,
    /// The event that it was woken by, as an expression would see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
}

/// How far a step says that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// Its words.
    pub text: String,
    /// When it said them.
    pub at: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH
    }

    fn until(wake: Wake) -> Result<(), SuspensionError> {
        Suspension { state: Checkpoint::default(), wake }.check(now())
    }

    fn event(name: &str, matching: Option<&str>, timeout_ms: u64) -> Result<(), SuspensionError> {
        let (name, matching) = (name.to_owned(), matching.map(str::to_owned));
        until(Wake::Event { name, matching, timeout_ms })
    }

    #[test]
    fn the_state_has_a_most() {
        let of = |bytes: usize| {
            Suspension { state: Checkpoint(vec![7; bytes]), wake: Wake::At(now()) }.check(now())
        };
        assert_eq!(of(MAX_STATE_BYTES - 1), Ok(()));
        assert_eq!(of(MAX_STATE_BYTES), Ok(()));
        let over = MAX_STATE_BYTES + 1;
        assert_eq!(of(over), Err(SuspensionError::StateTooLarge(over)));
    }

    #[test]
    fn a_suspension_ends_within_the_longest_wait() {
        let at = |ms: u64| until(Wake::At(now() + TimeDelta::milliseconds(ms.cast_signed())));
        assert_eq!(at(MAX_DURATION_MS), Ok(()));
        assert_eq!(at(MAX_DURATION_MS + 1), Err(SuspensionError::TooLong));
        assert_eq!(until(Wake::At(now() - TimeDelta::days(1))), Ok(()));
        assert_eq!(until(Wake::At(DateTime::<Utc>::MAX_UTC)), Err(SuspensionError::TooLong));
        assert_eq!(until(Wake::After(MAX_DURATION_MS)), Ok(()));
        assert_eq!(until(Wake::After(MAX_DURATION_MS + 1)), Err(SuspensionError::TooLong));
        assert_eq!(event("paid", None, MAX_DURATION_MS), Ok(()));
        assert_eq!(event("paid", None, MAX_DURATION_MS + 1), Err(SuspensionError::TooLong));
    }

    #[test]
    fn only_events_that_anybody_may_send_are_waited_for() {
        for name in ["", "approval:ask", "token:pay", "a b"] {
            assert_eq!(event(name, None, 1), Err(SuspensionError::EventName(name.to_owned())));
        }
        let long = "a".repeat(300);
        let Err(SuspensionError::EventName(named)) = event(&long, None, 1) else { panic!() };
        assert_eq!(named.len(), MAX_NAME_BYTES);
    }

    #[test]
    fn the_expression_sees_the_event_and_nothing_else() {
        assert_eq!(event("paid", Some("event.data.order == 'A7'"), 1), Ok(()));
        for more in [
            "event.data.order == input.order",
            "steps.a.output == 1",
            "event.data.key == secret('stripe')",
            "event.data.token.startsWith(waitToken('pay'))",
        ] {
            assert_eq!(event("paid", Some(more), 1), Err(SuspensionError::ReadsMore), "{more}");
        }
        let Err(SuspensionError::Matching(_)) = event("paid", Some("event.data.("), 1) else {
            panic!()
        };
    }

    #[test]
    fn a_checkpoint_is_stored_as_text() {
        let left = Checkpoint((0..=255).collect());
        let stored = serde_json::to_value(&left).unwrap();
        assert!(stored.is_string());
        assert_eq!(serde_json::from_value::<Checkpoint>(stored).unwrap(), left);
    }
}
