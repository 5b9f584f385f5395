//! Where things are in a trace. Identifiers are derived and not drawn, so that every worker that comes by an execution
//! gives the same thing the same place, and nothing of it has to be stored.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::machine::{Cursor, Execution};

/// The longest `traceparent` that is read; a later version may say more than ours.
pub const MAX_TRACEPARENT_BYTES: usize = 256;

const SAMPLED: u8 = 0x01;

/// A span's place: the value of the header `traceparent`.
///
/// Source: W3C Trace Context, level 1, section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    // As bytes they need no alignment, and much carries one of these.
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

impl TraceParent {
    /// The first span of an execution's own trace: the trace has the execution's id. `UUIDv7` leaves no bit pattern that
    /// the standard forbids.
    pub fn of_execution(id: Uuid) -> Self {
        Self { trace: id.into_bytes(), span: own_span(id).to_be_bytes(), sampled: true }
    }

    /// The trace's id; never 0.
    pub fn trace_id(self) -> u128 {
        u128::from_be_bytes(self.trace)
    }

    /// The span's id; never 0.
    pub fn span_id(self) -> u64 {
        u64::from_be_bytes(self.span)
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(self) -> bool {
        self.sampled
    }

    /// The same place in a trace that is recorded, or is not.
    #[must_use]
    pub fn sampled(self, sampled: bool) -> Self {
        Self { sampled, ..self }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn span(self, span_id: u64) -> Self {
        Self { span: span_id.max(1).to_be_bytes(), ..self }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { SAMPLED } else { 0 };
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id(), self.span_id())
    }
}

impl From<TraceParent> for String {
    fn from(place: TraceParent) -> Self {
        place.to_string()
    }
}

impl TryFrom<String> for TraceParent {
    type Error = NoTraceParent;

    fn try_from(text: String) -> Result<Self, NoTraceParent> {
        text.parse()
    }
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a `traceparent`, which looks like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
)]
pub struct NoTraceParent;

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    /// What later versions add at the end is passed over, as the standard wants it.
    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        if text.len() > MAX_TRACEPARENT_BYTES {
            return Err(NoTraceParent);
        }
        let mut parts = text.split('-');
        let mut part =
            |digits| parts.next().and_then(|part| hex(part, digits)).ok_or(NoTraceParent);
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let more = parts.next().is_some();
        let span = u64::try_from(span).map_err(|_| NoTraceParent)?;
        if version == 0xff || version == 0 && more || trace == 0 || span == 0 {
            return Err(NoTraceParent);
        }
        let (trace, span) = (trace.to_be_bytes(), span.to_be_bytes());
        Ok(Self { trace, span, sampled: flags & u128::from(SAMPLED) != 0 })
    }
}

/// A number of exactly so many digits, none of them a capital.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

impl Execution {
    /// Where its first span is, on which all of its spans hang.
    pub fn trace(&self) -> TraceParent {
        let own = TraceParent::of_execution(self.id);
        let place = self.traced_by().map_or(own, |caller| caller.span(own.span_id()));
        place.sampled(self.sampled)
    }

    /// The span that has begun it: of whoever has started it, or of the step that it is a child of.
    pub fn traced_by(&self) -> Option<TraceParent> {
        self.around.as_ref().map_or(self.state.trace, |around| around.trace)
    }

    /// Where a visit to a step is.
    pub fn step_trace(&self, step: &str, visited_at: DateTime<Utc>) -> TraceParent {
        let at = visited_at.timestamp_micros().to_be_bytes();
        self.trace().span(named_span(self.id, &[step.as_bytes(), b"@", &at]))
    }

    /// Where the visit that a cursor is at is.
    pub fn visit_trace(&self, cursor: &Cursor) -> TraceParent {
        self.step_trace(&cursor.step, cursor.visited_at)
    }

    /// Where an attempt of a step is.
    pub fn attempt_trace(&self, step: &str, attempt: u32) -> TraceParent {
        self.trace().span(named_span(self.id, &[step.as_bytes(), b"#", &attempt.to_be_bytes()]))
    }

    /// Where its end is.
    pub fn end_trace(&self, at: DateTime<Utc>) -> TraceParent {
        let at = at.timestamp_micros().to_be_bytes();
        self.trace().span(named_span(self.id, &[b"@", &at]))
    }
}

/// The half of an id that is drawn at random, or is a child's digest.
fn own_span(id: Uuid) -> u64 {
    id.as_u64_pair().1.max(1)
}

/// A digest of what a span is of. It has to be the same for every build, and different for all spans of a trace.
///
/// Source of the algorithm and its constants: FNV-1a with 64 bits, by Fowler, Noll and Vo (draft-eastlake-fnv).
fn named_span(execution: Uuid, name: &[&[u8]]) -> u64 {
    let bytes = execution.as_bytes().iter().chain(name.iter().copied().flatten());
    bytes.fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_again() {
        let read: TraceParent = GIVEN.parse().unwrap();
        assert_eq!(read.to_string(), GIVEN);
        assert!(read.is_sampled());
        let unsampled = GIVEN.replace("-01", "-00");
        assert_eq!(unsampled.parse::<TraceParent>().unwrap().to_string(), unsampled);
        let json = serde_json::to_string(&read).unwrap();
        assert_eq!(json, format!("{GIVEN:?}"));
        assert_eq!(serde_json::from_str::<TraceParent>(&json).unwrap(), read);
    }

    #[test]
    fn a_name_has_one_digest_in_every_build() {
        let execution = Uuid::from_u128(7);
        // Worked out by another implementation, over 16 bytes of id and the name.
        assert_eq!(named_span(execution, &[b"a#"]), 0x3c8f_dbb1_a676_f050);
        assert_eq!(named_span(execution, &[b"a", b"#"]), named_span(execution, &[b"a#"]));
        assert_ne!(named_span(execution, &[b"a"]), named_span(execution, &[b"b"]));
        assert_ne!(named_span(execution, &[b"a"]), named_span(Uuid::from_u128(8), &[b"a"]));
    }

    #[test]
    fn later_versions_may_say_more() {
        let later = format!("{}-what-comes", GIVEN.replacen("00", "cc", 1));
        assert_eq!(later.parse::<TraceParent>().unwrap().to_string(), GIVEN);
        let long =
            |bytes: usize| format!("cc{}-{}", &GIVEN[2..], "x".repeat(bytes - GIVEN.len() - 1));
        assert!(long(MAX_TRACEPARENT_BYTES).parse::<TraceParent>().is_ok());
        assert!(long(MAX_TRACEPARENT_BYTES + 1).parse::<TraceParent>().is_err());
        let flags = GIVEN.replace("-01", "-ff");
        assert!(
            flags.parse::<TraceParent>().unwrap().is_sampled(),
            "unknown flags are passed over"
        );
    }

    #[test]
    fn what_the_standard_forbids_is_none() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            &zero_trace,
            &zero_span,
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(NoTraceParent), "{text}");
        }
    }
}
