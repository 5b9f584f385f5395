//! Wait tokens: what somebody has to know in order to complete a step.
//!
//! A token is derived, not stored: it names the execution and the step, and carries a MAC over both under a key of the
//! installation. So it can be handed out before the step begins, and whoever has one cannot make another.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// The bytes of an id, and of a MAC: HMAC-SHA256 (RFC 2104) cut to 128 bits, which section 5 there allows.
const ID_BYTES: usize = 16;
const MAC_BYTES: usize = 16;

/// The key of an installation.
#[derive(Clone, Copy, Default)]
pub struct CallbackKey([u8; 32]);

impl std::fmt::Debug for CallbackKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallbackKey(…)")
    }
}

impl CallbackKey {
    /// A key of 32 secret bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The token of a step of an execution.
    pub fn token(&self, execution_id: Uuid, step: &str) -> String {
        let mac = self.mac_of(execution_id, step).finalize().into_bytes();
        let bytes = [execution_id.as_bytes(), &mac[..MAC_BYTES], step.as_bytes()].concat();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The execution and the step that a token is for; `None` if it is not one of ours.
    pub fn read(&self, token: &str) -> Option<(Uuid, String)> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
        let (mac, step) = rest.split_first_chunk::<MAC_BYTES>()?;
        let (id, step) = (Uuid::from_bytes(*id), std::str::from_utf8(step).ok()?);
        self.mac_of(id, step).verify_truncated_left(mac).ok()?;
        Some((id, step.to_owned()))
    }

    /// A MAC over nothing yet.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0).expect("a key may have any length")
    }

    fn mac_of(&self, execution_id: Uuid, step: &str) -> Hmac<Sha256> {
        let mut mac = self.mac();
        mac.update(execution_id.as_bytes());
        mac.update(step.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_the_key_that_made_it_and_by_no_other() {
        let (key, id) = (CallbackKey::new([7; 32]), Uuid::from_u128(9));
        let token = key.token(id, "pay");
        assert_eq!(key.read(&token), Some((id, "pay".to_owned())));
        assert_eq!(CallbackKey::new([8; 32]).read(&token), None);
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed() {
        let key = CallbackKey::new([7; 32]);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(key.token(Uuid::from_u128(9), "pay")).unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(key.read(&BASE64_URL_SAFE_NO_PAD.encode(&other)), None, "byte {at}");
        }
        for bad in ["", "x", "====", &"A".repeat(43)] {
            assert_eq!(key.read(bad), None, "{bad}");
        }
    }
}
