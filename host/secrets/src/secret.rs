//! A secret's value in memory, and what may be stored as a secret.

use std::fmt;

use egress::Rule;
use engine::placeholder::is_secret_name;
use zeroize::Zeroizing;

use crate::error::SecretError;

/// What is shorter would be found everywhere when it is scrubbed.
pub const MIN_VALUE_BYTES: usize = 8;
/// Room for a certificate's chain and its key.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// A secret names no more destinations.
pub const MAX_RULES: usize = 64;
/// A namespace has no more secrets.
pub const MAX_SECRETS: u32 = 1000;
/// All values of a namespace together: every worker that serves it holds them, each in all its forms.
pub const MAX_NAMESPACE_BYTES: u32 = 1 << 20;

/// A value. It is wiped from memory when it is dropped, and no debug output shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Zeroizing<String>);

impl SecretValue {
    /// A value within the limits.
    pub fn new(value: String) -> Result<Self, SecretError> {
        let value = Zeroizing::new(value);
        match value.len() {
            bytes if bytes < MIN_VALUE_BYTES => Err(SecretError::TooShort(bytes)),
            bytes if bytes > MAX_VALUE_BYTES => Err(SecretError::TooLong(bytes)),
            _ => Ok(Self(value)),
        }
    }

    /// The value itself: for sealing, sending and signing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

/// Whether a secret may have this name.
pub fn check_name(name: &str) -> Result<(), SecretError> {
    if is_secret_name(name) { Ok(()) } else { Err(SecretError::Name) }
}

/// Whether a secret may have so many destinations.
pub fn check_rules(rules: &[Rule]) -> Result<(), SecretError> {
    if rules.len() > MAX_RULES { Err(SecretError::TooManyRules(rules.len())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_8_bytes_to_64_kib() {
        for (bytes, fits) in
            [(7, false), (8, true), (9, true), (65535, true), (65536, true), (65537, false)]
        {
            assert_eq!(SecretValue::new("x".repeat(bytes)).is_ok(), fits, "{bytes}");
        }
    }

    #[test]
    fn a_secret_has_at_most_64_destinations() {
        for (count, fits) in [(0, true), (63, true), (64, true), (65, false)] {
            assert_eq!(check_rules(&vec![Rule::anything(); count]).is_ok(), fits, "{count}");
        }
    }

    #[test]
    fn debug_output_does_not_show_it() {
        let value = SecretValue::new("hush-hush".into()).unwrap();
        assert!(!format!("{value:?}").contains("hush"));
    }
}
