//! A guest that makes one request.

use super::step;

/// Sends what is written here, and answers the response's status, or which of the errors came (100 and its place).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sending<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// Where to.
    pub url: &'a str,
    /// So many bytes of body.
    pub body: usize,
    /// A secret whose placeholder goes into the header `x-key`.
    pub secret: Option<&'a str>,
}

const SEND: &str = r#"(import "stateflow:plugin/http@1.0.0" "send"
    (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
const PLACEHOLDER: &str = r#"(import "stateflow:plugin/secrets@1.0.0" "placeholder"
    (func $placeholder (param i32 i32 i32)))"#;

/// A plugin of the world `step` that does this.
pub fn sending(manifest: &str, asked: &Sending<'_>) -> Vec<u8> {
    let Sending { method, url, body, secret } = *asked;
    let name = secret.unwrap_or_default();
    let items = format!(
        r#"(data (i32.const 1024) {method:?}) (data (i32.const 1100) {url:?})
           (data (i32.const 1400) {name:?}) (data (i32.const 1500) "x-key")"#
    );
    // One header: its name and, where the placeholder's text was put, its value.
    let hold = format!(
        "(call $placeholder (i32.const 1400) (i32.const {length}) (i32.const 560))
         (i32.store (i32.const 576) (i32.const 1500))
         (i32.store (i32.const 580) (i32.const 5))
         (i32.store (i32.const 584) (i32.load (i32.const 564)))
         (i32.store (i32.const 588) (i32.load (i32.const 568)))",
        length = name.len()
    );
    let send = format!(
        "(call $send
            (i32.const 1024) (i32.const {method_length}) (i32.const 1100) (i32.const {url_length})
            (i32.const 576) (i32.const {headers})
            (i32.const 1) (i32.const 16384) (i32.const {body})
            (i32.const 0) (i32.const 0)
            (i32.const 512))",
        method_length = method.len(),
        url_length = url.len(),
        headers = usize::from(secret.is_some()),
    );
    let (imports, hold) = match secret {
        Some(_) => (format!("{SEND}{PLACEHOLDER}"), hold),
        None => (SEND.to_owned(), String::new()),
    };
    step(manifest, &imports, &items, &format!("{hold}{send}{ANSWER}"))
}

/// Three digits.
const ANSWER: &str = "
    (local.set $number
        (if (result i32) (i32.load8_u (i32.const 512))
            (then (i32.add (i32.const 100) (i32.load8_u (i32.const 520))))
            (else (i32.load16_u (i32.const 520)))))
    (i32.store8 (i32.const 600)
        (i32.add (i32.const 48) (i32.div_u (local.get $number) (i32.const 100))))
    (i32.store8 (i32.const 601)
        (i32.add (i32.const 48)
            (i32.rem_u (i32.div_u (local.get $number) (i32.const 10)) (i32.const 10))))
    (i32.store8 (i32.const 602)
        (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
    (call $answer (i32.const 600) (i32.const 3))";
