//! The operator's keys: what seals secrets for the store, and opens them again.
//!
//! The cipher is XChaCha20-Poly1305: its nonces are long enough to be drawn at random for as many secrets as there may be.
//! The namespace, the name and the destinations are authenticated with the value, so that whoever can write to the
//! database cannot give a secret another name, or send it somewhere else.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use egress::Rule;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::secret::SecretValue;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Several keys: the first one seals, all of them open.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: String,
    /// The cipher wipes its key when it is dropped.
    cipher: XChaCha20Poly1305,
}

/// What a secret is bound to.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The namespace that owns it.
    pub namespace_id: i32,
    /// Its name.
    pub name: &'a str,
    /// Where it may be sent.
    pub rules: &'a [Rule],
}

/// A secret as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Which key it was sealed with.
    pub key_id: String,
    /// Drawn for this sealing.
    pub nonce: Vec<u8>,
    /// The value, encrypted, with its tag.
    pub bytes: Vec<u8>,
}

impl Keyring {
    /// Reads a comma-separated list of keys, each the base64 of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let mut keys: Vec<Key> = Vec::new();
        let written = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
        for (place, part) in written.enumerate() {
            let number = place + 1;
            let decoded = BASE64_STANDARD.decode(part).map(Zeroizing::new);
            let bytes = decoded.map_err(|_| SealError::Key { number })?;
            if bytes.len() != KEY_BYTES {
                return Err(SealError::Key { number });
            }
            let cipher =
                XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| SealError::Key { number })?;
            let key = Key { id: key_id(&bytes), cipher };
            if keys.iter().any(|known| known.id == key.id) {
                return Err(SealError::Repeated { number });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(SealError::NoKey) } else { Ok(Self { keys }) }
    }

    /// The id of the key that seals.
    pub fn sealing_key_id(&self) -> &str {
        &self.keys[0].id
    }

    /// Seals a value with the first key.
    pub fn seal(&self, place: Place<'_>, value: &SecretValue) -> Sealed {
        let key = &self.keys[0];
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let aad = authenticated(place);
        let payload = Payload { msg: value.expose().as_bytes(), aad: &aad };
        let bytes = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a value is far shorter than the cipher's limit of 256 GiB");
        Sealed { key_id: key.id.clone(), nonce: nonce.to_vec(), bytes }
    }

    /// Opens what one of the keys sealed for this place.
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<SecretValue, SealError> {
        let name = || place.name.to_owned();
        let Some(key) = self.keys.iter().find(|key| key.id == sealed.key_id) else {
            let known: Vec<_> = self.keys.iter().map(|key| key.id.as_str()).collect();
            return Err(SealError::UnknownKey {
                name: name(),
                key_id: sealed.key_id.clone(),
                known: known.join(", "),
            });
        };
        let broken = || SealError::Broken { name: name() };
        let nonce: [u8; NONCE_BYTES] = sealed.nonce.as_slice().try_into().map_err(|_| broken())?;
        let aad = authenticated(place);
        let payload = Payload { msg: &sealed.bytes, aad: &aad };
        let opened = key.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| broken())?;
        let text = String::from_utf8(opened).map_err(|_| broken())?;
        SecretValue::new(text).map_err(|_| broken())
    }

    /// Seals with the first key what another one sealed; `None` if the first one did.
    pub fn reseal(&self, place: Place<'_>, sealed: &Sealed) -> Result<Option<Sealed>, SealError> {
        if sealed.key_id == self.sealing_key_id() {
            return Ok(None);
        }
        Ok(Some(self.seal(place, &self.open(place, sealed)?)))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

/// Says which key it is and nothing about it: a digest of 32 random bytes cannot be searched backwards.
fn key_id(key: &[u8]) -> String {
    let digest =
        Sha256::new().chain_update(b"stateflow secrets key\0").chain_update(key).finalize();
    hex::encode(&digest[..8])
}

/// No name has a `\0`, and no rule a line's end, so no two places have the same bytes.
fn authenticated(place: Place<'_>) -> Vec<u8> {
    let mut bytes = b"stateflow secret 1\0".to_vec();
    bytes.extend(place.namespace_id.to_be_bytes());
    bytes.extend(place.name.as_bytes());
    bytes.push(0);
    for rule in place.rules {
        bytes.extend(rule.to_string().into_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(byte: u8) -> String {
        BASE64_STANDARD.encode([byte; KEY_BYTES])
    }

    fn keyring(bytes: &[u8]) -> Keyring {
        let all: Vec<_> = bytes.iter().map(|byte| text(*byte)).collect();
        Keyring::parse(&all.join(",")).unwrap()
    }

    fn place(rules: &[Rule]) -> Place<'_> {
        Place { namespace_id: 1, name: "pay", rules }
    }

    fn value() -> SecretValue {
        SecretValue::new("correct horse".into()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_and_never_looks_the_same_twice() {
        let keys = keyring(&[1]);
        let (first, second) = (keys.seal(place(&[]), &value()), keys.seal(place(&[]), &value()));
        assert_ne!(first.bytes, second.bytes);
        assert_eq!(keys.open(place(&[]), &first).unwrap(), value());
        assert!(!first.bytes.windows(7).any(|window| window == b"correct"));
    }

    #[test]
    fn keys_are_rotated_by_adding_a_first_one() {
        let old = keyring(&[1]).seal(place(&[]), &value());
        let both = keyring(&[2, 1]);
        assert_eq!(both.open(place(&[]), &old).unwrap(), value());
        let new = both.reseal(place(&[]), &old).unwrap().unwrap();
        assert_eq!(keyring(&[2]).open(place(&[]), &new).unwrap(), value());
        assert_eq!(both.reseal(place(&[]), &new).unwrap(), None);
    }

    #[test]
    fn a_key_that_is_missing_is_named() {
        let sealed = keyring(&[1]).seal(place(&[]), &value());
        let error = keyring(&[2]).open(place(&[]), &sealed).unwrap_err();
        assert!(error.to_string().contains(&sealed.key_id), "{error}");
        assert!(matches!(error, SealError::UnknownKey { .. }));
    }

    #[test]
    fn nothing_that_a_secret_is_bound_to_can_be_changed() {
        let (keys, rules) = (keyring(&[1]), ["api.example.com".parse().unwrap()]);
        let sealed = keys.seal(place(&rules), &value());
        assert!(keys.open(place(&rules), &sealed).is_ok());
        let anywhere = [Rule::anything()];
        let others = [
            Place { namespace_id: 2, ..place(&rules) },
            Place { name: "pax", ..place(&rules) },
            place(&[]),
            place(&anywhere),
        ];
        for other in others {
            assert_eq!(
                keys.open(other, &sealed),
                Err(SealError::Broken { name: other.name.into() })
            );
        }
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[at] ^= 1;
            assert!(keys.open(place(&rules), &changed).is_err(), "byte {at}");
        }
        let short = Sealed { nonce: vec![0; 12], ..sealed };
        assert!(keys.open(place(&rules), &short).is_err());
    }

    #[test]
    fn what_is_not_a_key_is_refused_by_its_number_and_not_shown() {
        let parse = |text: &str| Keyring::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(parse(" , "), SealError::NoKey);
        let bytes = |count| BASE64_STANDARD.encode(vec![1; count]);
        for bad in [bytes(31), bytes(33), "hush!".to_owned()] {
            let error = parse(&format!("{},{bad}", text(1)));
            assert_eq!(error, SealError::Key { number: 2 });
            assert!(!error.to_string().contains(&bad));
        }
        assert_eq!(parse(&format!("{0},{0}", text(1))), SealError::Repeated { number: 2 });
        assert!(!format!("{:?}", keyring(&[1])).contains(&text(1)));
    }
}
