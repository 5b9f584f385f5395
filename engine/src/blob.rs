//! Payloads that are too large for JSON: kept beside the executions, passed on by reference.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// The largest blob, in bytes.
pub const MAX_BLOB_BYTES: u64 = 64 << 20;

/// Blobs are stored in pieces of this many bytes; the last is what is left.
pub const PIECE_BYTES: usize = 1 << 20;

const PREFIX: &str = "blob:sha256:";

/// What stands for a blob wherever JSON is passed on: `blob:sha256:` and the digest of its bytes in hexadecimal. Of its
/// namespace, whoever has the reference may read it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobReference([u8; 32]);

impl BlobReference {
    /// The reference of what has been hashed.
    pub fn of(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The reference of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of(Sha256::new().chain_update(bytes))
    }

    /// The digest.
    pub fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for BlobReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex::encode(self.0))
    }
}

impl fmt::Debug for BlobReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reference to a blob is `{PREFIX}` and 64 hexadecimal digits in lower case")]
pub struct NotAReference;

impl FromStr for BlobReference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        let digits = text.strip_prefix(PREFIX).ok_or(NotAReference)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(digits, &mut digest).map_err(|_| NotAReference)?;
        let reference = Self(digest);
        // One blob has one reference: digits in upper case would be another.
        (reference.to_string() == text).then_some(reference).ok_or(NotAReference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_is_written_and_in_no_other_way() {
        let reference = BlobReference::of_bytes(b"hello");
        let text = reference.to_string();
        assert_eq!(
            text,
            "blob:sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert_eq!(text.parse(), Ok(reference));
        let (short, long) = (text[..text.len() - 1].to_owned(), format!("{text}0"));
        for bad in
            ["", "blob:", &text[5..], &text.to_uppercase(), &text.replace('f', "F"), &short, &long]
        {
            assert_eq!(bad.parse::<BlobReference>(), Err(NotAReference), "{bad}");
        }
    }
}
