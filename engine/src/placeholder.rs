//! Placeholders of secrets: what stands in a step's config where a secret will be on the wire.
//!
//! ```text
//! stateflow-secret.BASE64URL(mac ‖ name).
//! ```
//!
//! Derived like wait tokens, and nothing is stored. The MAC is over the execution around all blocks and the secret's name,
//! so that no input, no plugin and no other execution can make one. All its characters mean themselves in URLs, forms,
//! headers and JSON, and the final stop says where it ends, so that it can be found in whatever it was written into.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::Mac;
use uuid::Uuid;

use crate::callback::CallbackKey;

/// Every placeholder begins like this.
pub const PREFIX: &str = "stateflow-secret.";
/// A secret's name is no longer than this.
pub const MAX_NAME_BYTES: usize = 64;

/// A wait token's MAC begins with the bytes of an id, and no id has these: its ninth byte is above `0x7f`.
const DOMAIN: &[u8] = b"secret's placeholder";
const MAC_BYTES: usize = 16;
/// The longest base64 text of a MAC and a name.
const MAX_TEXT_BYTES: usize = (MAC_BYTES + MAX_NAME_BYTES).div_ceil(3) * 4;

/// Whether a secret may have this name: a letter, then letters, digits, `_`, `-` and `.`.
pub fn is_secret_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// A placeholder that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it stands.
    pub range: Range<usize>,
    /// The name of the secret that it stands for.
    pub name: String,
}

/// What the placeholders of one execution are made with, and recognised by.
#[derive(Clone, Copy, Debug)]
pub struct Placeholders {
    key: CallbackKey,
    execution_id: Uuid,
}

impl Placeholders {
    /// Those of the execution around all blocks.
    pub fn of(key: CallbackKey, execution_id: Uuid) -> Self {
        Self { key, execution_id }
    }

    /// The one for a secret.
    pub fn make(&self, name: &str) -> String {
        let mac = self.mac(name).finalize().into_bytes();
        let bytes = [&mac[..MAC_BYTES], name.as_bytes()].concat();
        format!("{PREFIX}{}.", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// All that stand in some bytes, in order. What only looks like one is left out.
    pub fn find(&self, bytes: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(start) = position(&bytes[at..], PREFIX.as_bytes()).map(|it| at + it) {
            at = start + PREFIX.len();
            let text = &bytes[at..bytes.len().min(at + MAX_TEXT_BYTES + 1)];
            let Some(length) = text.iter().position(|byte| *byte == b'.') else { continue };
            if let Some(name) = self.read(&text[..length]) {
                at += length + 1;
                found.push(Found { range: start..at, name });
            }
        }
        found
    }

    fn read(&self, text: &[u8]) -> Option<String> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (mac, name) = bytes.split_first_chunk::<MAC_BYTES>()?;
        let name = std::str::from_utf8(name).ok()?;
        self.mac(name).verify_truncated_left(mac).ok()?;
        Some(name.to_owned())
    }

    fn mac(&self, name: &str) -> hmac::Hmac<sha2::Sha256> {
        let mut mac = self.key.mac();
        mac.update(DOMAIN);
        mac.update(self.execution_id.as_bytes());
        mac.update(name.as_bytes());
        mac
    }
}

/// Whether a JSON value may hold placeholders, in a string or a key of an object.
pub fn may_stand_in(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains(PREFIX),
        Value::Array(items) => items.iter().any(may_stand_in),
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| name.contains(PREFIX) || may_stand_in(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(key: u8, execution: u128) -> Placeholders {
        Placeholders::of(CallbackKey::new([key; 32]), Uuid::from_u128(execution))
    }

    fn names(of: &Placeholders, text: &str) -> Vec<String> {
        of.find(text.as_bytes()).into_iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_placeholder_is_found_wherever_it_stands() {
        let ours = placeholders(7, 9);
        let (a, b) = (ours.make("a"), ours.make("b.c-d_1"));
        assert_eq!(names(&ours, &format!("x{a}{b}y{a}")), ["a", "b.c-d_1", "a"]);
        let found = &ours.find(format!("Bearer {a}…").as_bytes())[0];
        assert_eq!(found.range, 7..7 + a.len());
        assert_eq!(names(&ours, ""), [""; 0]);
    }

    #[test]
    fn nobody_else_s_placeholder_is_read_and_none_that_was_changed() {
        let ours = placeholders(7, 9);
        assert_eq!(names(&ours, &placeholders(8, 9).make("a")), [""; 0]);
        assert_eq!(names(&ours, &placeholders(7, 8).make("a")), [""; 0]);
        let good = ours.make("pay");
        for at in 0..good.len() {
            let mut other = good.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(ours.find(&other), [], "byte {at}");
        }
        let token = CallbackKey::new([7; 32]).token(Uuid::from_u128(9), "a");
        assert_eq!(names(&ours, &format!("{PREFIX}{token}.")), [""; 0]);
    }

    #[test]
    fn what_looks_like_one_does_not_hide_one() {
        let ours = placeholders(7, 9);
        let good = ours.make("a");
        for noise in
            [PREFIX.to_owned(), format!("{PREFIX}."), format!("{PREFIX}{}", "A".repeat(500))]
        {
            assert_eq!(names(&ours, &format!("{noise}{good}")), ["a"], "{noise}");
        }
    }

    #[test]
    fn a_name_has_at_most_64_bytes_and_the_longest_one_has_a_placeholder() {
        for (length, good) in [(1, true), (63, true), (64, true), (65, false)] {
            assert_eq!(is_secret_name(&"a".repeat(length)), good, "{length}");
        }
        for bad in ["", "1a", "-a", ".a", "_a", "a b", "ä", "a/b", "a\n"] {
            assert!(!is_secret_name(bad), "{bad:?}");
        }
        let (ours, longest) = (placeholders(7, 9), "a".repeat(MAX_NAME_BYTES));
        assert_eq!(names(&ours, &ours.make(&longest)), [longest]);
    }

    #[test]
    fn it_is_the_same_in_urls_forms_and_json() {
        let text = placeholders(7, 9).make("a.b");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        assert!(text.bytes().all(plain), "{text}");
    }
}
