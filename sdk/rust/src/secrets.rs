//! Secrets that the plugin uses: placeholders to send, signatures, and, where an operator allows it, the secret itself.

use serde::Serialize;

use crate::Error;
pub use crate::bindings::stateflow::plugin::signing::AwsRequest;
use crate::bindings::stateflow::plugin::{revealing, secrets, signing};

/// A text that the host replaces by the secret in requests to where it may go: in a URL's query, a header or a body.
pub fn placeholder(name: &str) -> Result<String, Error> {
    secrets::placeholder(name).map_err(refused)
}

/// HMAC-SHA256 of the data under the secret.
pub fn hmac_sha256(name: &str, data: &[u8]) -> Result<Vec<u8>, Error> {
    signing::hmac_sha256(name, data).map_err(refused)
}

/// A JSON Web Token with these claims. The algorithm is `HS256`, `RS256`, `ES256` or `EdDSA`.
pub fn jwt(name: &str, algorithm: &str, claims: &impl Serialize) -> Result<String, Error> {
    let claims =
        serde_json::to_string(claims).map_err(|error| Error::permanent("claims-invalid", error))?;
    signing::jwt(name, algorithm, &claims).map_err(refused)
}

/// The headers that sign a request for AWS.
pub fn aws_sigv4(name: &str, request: &AwsRequest) -> Result<Vec<(String, String)>, Error> {
    signing::aws_sigv4(name, request).map_err(refused)
}

/// The secret itself. Off unless an operator allows it; each use is put on record.
pub fn reveal(name: &str) -> Result<String, Error> {
    revealing::reveal(name).map_err(refused)
}

fn refused(why: String) -> Error {
    Error::permanent("secret-refused", why)
}
