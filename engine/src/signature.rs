//! Vouching for a plugin: detached Ed25519 signatures (RFC 8032) over its name, version and digest.
//!
//! What is signed is an envelope of the DSSE specification, version 1 ("PAE"): type and body with their lengths, so
//! that no signature can be taken for one over something else. Random numbers come from outside, as everywhere here.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde_json::json;

/// The body's type in the envelope.
const PAYLOAD_TYPE: &str = "application/vnd.stateflow.plugin+json";

/// What a signature is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// `team/name`.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
    /// `sha256:` and the hex digest of the uploaded bytes.
    pub digest: &'a str,
}

/// A signature that is kept: whose key made it, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouch {
    /// What a policy calls the key.
    pub key_id: String,
    /// The 64 bytes.
    pub signature: Vec<u8>,
}

impl Vouch {
    /// Whether it is by this key, and about this plugin.
    pub fn is_by(&self, key_id: &str, public_key: &str, about: Statement<'_>) -> bool {
        self.key_id == key_id && about.verify(public_key, &self.signature).is_ok()
    }
}

/// Why a signature or a key is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The key's text is not one.
    #[error("the key is not 32 bytes in base64, or not a point of the curve")]
    Key,
    /// The signature's text is not one.
    #[error("the signature is not 64 bytes in base64")]
    Malformed,
    /// It is a signature of something else, or by somebody else.
    #[error("the signature does not fit this plugin and this key")]
    Wrong,
}

/// A secret key, and how the public one is written.
pub struct SecretKey(SigningKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// The key of 32 random bytes.
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// From what [`SecretKey::write`] gave.
    pub fn read(text: &str) -> Result<Self, SignatureError> {
        bytes(text).map(|seed| Self::new(&seed)).ok_or(SignatureError::Key)
    }

    /// 32 bytes in base64. Whoever has them can sign.
    pub fn write(&self) -> String {
        BASE64_STANDARD.encode(self.0.to_bytes())
    }

    /// The public key as policies name it.
    pub fn public(&self) -> String {
        BASE64_STANDARD.encode(self.0.verifying_key().to_bytes())
    }

    /// Vouches for a plugin: 64 bytes.
    pub fn sign(&self, statement: Statement<'_>) -> [u8; 64] {
        self.0.sign(&statement.envelope()).to_bytes()
    }
}

impl Statement<'_> {
    /// Whether this signature is by this key, and about this plugin.
    pub fn verify(&self, public_key: &str, signature: &[u8]) -> Result<(), SignatureError> {
        let key = read_public_key(public_key)?;
        let signature = Signature::from_slice(signature).map_err(|_| SignatureError::Malformed)?;
        // Strict: a key of small order would verify anything.
        key.verify_strict(&self.envelope(), &signature).map_err(|_| SignatureError::Wrong)
    }

    fn envelope(&self) -> Vec<u8> {
        let body = json!({ "name": self.name, "version": self.version, "digest": self.digest })
            .to_string();
        format!("DSSEv1 {} {PAYLOAD_TYPE} {} {body}", PAYLOAD_TYPE.len(), body.len()).into_bytes()
    }
}

/// Whether a text is a public key.
pub fn check_public_key(text: &str) -> Result<(), SignatureError> {
    read_public_key(text).map(drop)
}

fn read_public_key(text: &str) -> Result<VerifyingKey, SignatureError> {
    let bytes = bytes(text).ok_or(SignatureError::Key)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| SignatureError::Key)
}

fn bytes(text: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(text.trim()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: Statement<'static> =
        Statement { name: "acme/x", version: "1.0.0", digest: "sha256:00" };

    #[test]
    fn a_signature_is_good_for_its_plugin_and_its_key_alone() {
        let key = SecretKey::new(&[7; 32]);
        let signature = key.sign(ABOUT);
        assert_eq!(ABOUT.verify(&key.public(), &signature), Ok(()));
        for other in [
            Statement { name: "acme/y", ..ABOUT },
            Statement { version: "1.0.1", ..ABOUT },
            Statement { digest: "sha256:01", ..ABOUT },
        ] {
            assert_eq!(other.verify(&key.public(), &signature), Err(SignatureError::Wrong));
        }
        let stranger = SecretKey::new(&[8; 32]).public();
        assert_eq!(ABOUT.verify(&stranger, &signature), Err(SignatureError::Wrong));
    }

    #[test]
    fn no_byte_of_a_signature_can_be_changed_or_left_out() {
        let key = SecretKey::new(&[7; 32]);
        let signature = key.sign(ABOUT);
        for at in 0..signature.len() {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(ABOUT.verify(&key.public(), &changed).is_err(), "byte {at}");
        }
        let cut = &signature[..63];
        assert_eq!(ABOUT.verify(&key.public(), cut), Err(SignatureError::Malformed));
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_nothing_else_is() {
        let key = SecretKey::new(&[7; 32]);
        assert_eq!(SecretKey::read(&key.write()).unwrap().public(), key.public());
        assert_eq!(check_public_key(&key.public()), Ok(()));
        for bad in ["", "AAAA", "not base64", &"A".repeat(44)] {
            assert!(SecretKey::read(bad).is_err(), "{bad}");
            assert_eq!(check_public_key(bad), Err(SignatureError::Key));
        }
    }

    #[test]
    fn the_identity_as_a_key_vouches_for_nothing() {
        // The point of order 1: without the strict check, R = it and s = 0 would verify any message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let key = BASE64_STANDARD.encode(identity);
        assert!(ABOUT.verify(&key, &signature).is_err());
    }
}
