//! Tokens are verified with the public halves of keys that the tests make.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::json;

use super::*;

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

fn verify(token: &str, algorithm: Algorithm, key: &DecodingKey) {
    let validation = Validation::new(algorithm);
    let decoded = jsonwebtoken::decode::<Value>(token, key, &validation).unwrap();
    assert_eq!(decoded.claims, claims());
    assert_eq!(decoded.header.kid.as_deref(), Some("k1"));
}

fn claims() -> Value {
    json!({ "sub": "a", "exp": 4_000_000_000_u64, "nested": { "x": [1] } })
}

fn signed(secret: &str, algorithm: JwtAlgorithm) -> String {
    sign(secret, algorithm, &claims(), Some("k1")).unwrap()
}

#[test]
fn hs256_takes_the_secret_as_it_is() {
    let token = signed("correct horse", JwtAlgorithm::Hs256);
    verify(&token, Algorithm::HS256, &DecodingKey::from_secret(b"correct horse"));
}

#[test]
fn rs256_takes_an_rsa_key() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let token = signed(&pem(AsDer::as_der(&pair).unwrap().as_ref()), JwtAlgorithm::Rs256);
    verify(&token, Algorithm::RS256, &DecodingKey::from_rsa_der(pair.public_key().as_ref()));
}

#[test]
fn es256_takes_a_key_on_p_256() {
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let der = der.unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
    let token = signed(&pem(der.as_ref()), JwtAlgorithm::Es256);
    verify(&token, Algorithm::ES256, &DecodingKey::from_ec_der(pair.public_key().as_ref()));
}

#[test]
fn eddsa_takes_an_ed25519_key() {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
    let token = signed(&pem(der.as_ref()), JwtAlgorithm::EdDsa);
    verify(&token, Algorithm::EdDSA, &DecodingKey::from_ed_der(pair.public_key().as_ref()));
}

#[test]
fn what_is_not_a_key_is_not_shown() {
    let bad_pem = pem(b"hush hush hush hush");
    for secret in ["hush hush", bad_pem.as_str()] {
        for algorithm in [JwtAlgorithm::Rs256, JwtAlgorithm::Es256, JwtAlgorithm::EdDsa] {
            let fault = sign(secret, algorithm, &claims(), None).unwrap_err();
            assert!(fault.contains("private key") && !fault.contains("hush"), "{fault}");
        }
    }
}

#[test]
fn claims_are_an_object_and_a_key_s_id_has_at_most_256_bytes() {
    assert!(sign("correct horse", JwtAlgorithm::Hs256, &json!([1]), None).is_err());
    for (length, fits) in [(255, true), (256, true), (257, false)] {
        let id = "k".repeat(length);
        let signed = sign("correct horse", JwtAlgorithm::Hs256, &claims(), Some(&id));
        assert_eq!(signed.is_ok(), fits, "{length}");
    }
    assert!("none".parse::<JwtAlgorithm>().is_err() && "HS512".parse::<JwtAlgorithm>().is_err());
}
