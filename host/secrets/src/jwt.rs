//! JSON Web Tokens, signed with a secret.

use std::str::FromStr;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;

/// A key's id in a token's header is no longer than this.
const MAX_KEY_ID_BYTES: usize = 256;

/// How a token is signed. Source of the names: RFC 7518, section 3.1, and RFC 8037, section 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256: the secret is the key.
    Hs256,
    /// RSA, PKCS #1 v1.5, with SHA-256: the secret is a private key in PEM.
    Rs256,
    /// ECDSA over P-256 with SHA-256: the secret is a private key in PEM, PKCS #8.
    Es256,
    /// Ed25519: the secret is a private key in PEM, PKCS #8.
    EdDsa,
}

impl FromStr for JwtAlgorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "HS256" => Ok(Self::Hs256),
            "RS256" => Ok(Self::Rs256),
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            _ => Err("there is no such algorithm; there are HS256, RS256, ES256 and EdDSA".into()),
        }
    }
}

/// The token. The error says nothing of the secret.
pub(crate) fn sign(
    secret: &str,
    algorithm: JwtAlgorithm,
    claims: &Value,
    key_id: Option<&str>,
) -> Result<String, String> {
    if !claims.is_object() {
        return Err("the claims are not a JSON object".into());
    }
    if key_id.is_some_and(|id| id.len() > MAX_KEY_ID_BYTES) {
        return Err(format!("the key's id is longer than {MAX_KEY_ID_BYTES} bytes"));
    }
    let pem = secret.as_bytes();
    let (name, key) = match algorithm {
        JwtAlgorithm::Hs256 => (Algorithm::HS256, Ok(EncodingKey::from_secret(pem))),
        JwtAlgorithm::Rs256 => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
        JwtAlgorithm::Es256 => (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
        JwtAlgorithm::EdDsa => (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
    };
    // The cause is left out: a parser's message may quote what it could not read.
    let key = key.map_err(|_| format!("it is not a private key in PEM that fits {name:?}"))?;
    let header = Header { kid: key_id.map(str::to_owned), ..Header::new(name) };
    jsonwebtoken::encode(&header, claims, &key)
        .map_err(|_| format!("it is not a private key that fits {name:?}"))
}

#[cfg(test)]
mod tests;
