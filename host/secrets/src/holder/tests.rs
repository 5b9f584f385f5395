//! What goes where, who may do what, and how a secret is written into a request.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use egress::Destination;
use egress::secrets::Written;
use engine::callback::CallbackKey;
use http::Method;
use serde_json::json;
use uuid::Uuid;

use super::*;

const VALUE: &str = "p\"ss & w0rd";

fn opened() -> Arc<Opened> {
    let secret = |value: &str, rules: &[&str]| Secret {
        value: SecretValue::new(value.into()).unwrap(),
        rules: rules.iter().map(|rule| rule.parse().unwrap()).collect(),
    };
    Arc::new(Opened::new(BTreeMap::from([
        ("pay".to_owned(), secret(VALUE, &["POST https://pay.example/v1"])),
        ("other".to_owned(), secret("the other one", &["https://other.example"])),
    ])))
}

fn placeholders(execution: u128) -> Placeholders {
    Placeholders::of(CallbackKey::new([7; 32]), Uuid::from_u128(execution))
}

fn holder(reach: Reach) -> Holder {
    Holder::new(placeholders(1), opened(), reach)
}

fn swap_at(
    holder: &Holder,
    text: &str,
    url: &str,
    written: Written,
) -> Result<Option<String>, String> {
    let (destination, method) = (Destination::parse(url).unwrap(), Method::POST);
    let outlet = Outlet { destination: &destination, method: &method, written };
    holder
        .swap(text.as_bytes(), &outlet)
        .map(|swapped| swapped.map(|bytes| String::from_utf8(bytes).unwrap()))
        .map_err(|refused| refused.name)
}

fn swap(holder: &Holder, text: &str) -> Result<Option<String>, String> {
    swap_at(holder, text, "https://pay.example/v1/charges", Written::Plain)
}

#[test]
fn a_placeholder_becomes_the_secret_where_a_rule_allows_it() {
    let holder = holder(Reach::of_native_step());
    let pay = holder.placeholder("pay").unwrap();
    assert_eq!(swap(&holder, &format!("Bearer {pay}!")), Ok(Some(format!("Bearer {VALUE}!"))));
    assert_eq!(swap(&holder, &format!("{pay}{pay}")), Ok(Some(format!("{VALUE}{VALUE}"))));
    assert_eq!(swap(&holder, "nothing"), Ok(None));
    for elsewhere in [
        "https://pay.example/v2",
        "http://pay.example/v1",
        "https://evil.example/v1",
        "https://pay.example:8443/v1",
    ] {
        let swapped = swap_at(&holder, &pay, elsewhere, Written::Plain);
        assert_eq!(swapped, Err("pay".into()), "{elsewhere}");
    }
    let destination = Destination::parse("https://pay.example/v1").unwrap();
    let get = Outlet { destination: &destination, method: &Method::GET, written: Written::Plain };
    assert!(holder.swap(pay.as_bytes(), &get).is_err());
}

#[test]
fn placeholders_of_another_execution_are_text() {
    let holder = holder(Reach::of_native_step());
    assert_eq!(swap(&holder, &placeholders(2).make("pay")), Ok(None));
}

#[test]
fn a_secret_beyond_the_reach_is_refused_even_by_a_good_placeholder() {
    let holder = holder(Reach::of_plugin(["other".to_owned()]));
    assert_eq!(swap(&holder, &placeholders(1).make("pay")), Err("pay".into()));
    assert!(matches!(holder.placeholder("pay"), Err(SignError::NotAllowed { .. })));
    let holder = Holder::new(placeholders(1), opened(), Reach::default());
    assert_eq!(swap(&holder, &placeholders(1).make("pay")), Err("pay".into()));
}

#[test]
fn a_secret_cannot_break_out_of_json_or_a_form() {
    let holder = holder(Reach::of_native_step());
    let pay = holder.placeholder("pay").unwrap();
    let at = |text: &str, written| {
        swap_at(&holder, text, "https://pay.example/v1", written).unwrap().unwrap()
    };
    let json: Value =
        serde_json::from_str(&at(&json!({ "k": pay }).to_string(), Written::Json)).unwrap();
    assert_eq!(json, json!({ "k": VALUE }));
    assert_eq!(at(&format!("k={pay}&x=1"), Written::Form), "k=p%22ss+%26+w0rd&x=1");
}

#[test]
fn basic_credentials_are_swapped_inside_their_base64() {
    let holder = holder(Reach::of_native_step());
    let credentials = format!("user:{}", holder.placeholder("pay").unwrap());
    let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("user:{VALUE}")));
    for scheme in ["Basic", "basic", "BASIC"] {
        let text = format!("{scheme} {}", BASE64_STANDARD.encode(&credentials));
        assert_eq!(swap(&holder, &text), Ok(Some(expected.clone())));
    }
    assert_eq!(swap(&holder, &format!("Basic {}", BASE64_STANDARD.encode("user:pass"))), Ok(None));
    assert_eq!(swap(&holder, "Basic ?"), Ok(None));
    assert_eq!(
        swap(&holder, &format!("Basic {credentials}")),
        Ok(Some(format!("Basic user:{VALUE}")))
    );
}

#[test]
fn a_config_that_names_an_unknown_secret_is_refused_before_it_is_sent() {
    let holder = holder(Reach::of_native_step());
    let config = |name: &str| json!({ "body": [{ "x": placeholders(1).make(name) }] });
    assert_eq!(holder.check(&config("pay")), Ok(()));
    assert_eq!(holder.check(&json!({ "url": "stateflow-secret.x." })), Ok(()));
    assert_eq!(holder.check(&config("gone")), Err(SignError::Unknown { name: "gone".into() }));
}

#[test]
fn hmac_is_that_of_rfc_4231() {
    // Test case 1 there.
    let value = SecretValue::new("\u{b}".repeat(20)).unwrap();
    let secret = Secret { value, rules: Vec::new() };
    let opened = Opened::new(BTreeMap::from([("k".to_owned(), secret)]));
    let holder = Holder::new(placeholders(1), Arc::new(opened), Reach::of_plugin(["k".to_owned()]));
    let mac = holder.hmac_sha256("k", b"Hi There").unwrap();
    let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    assert_eq!(hex::encode(mac), expected);
}

#[test]
fn signing_is_for_those_to_whom_it_was_granted() {
    let native = holder(Reach::of_native_step());
    let plugin = holder(Reach::of_plugin(["pay".to_owned(), "gone".to_owned()]));
    let claims = json!({});
    let signed = plugin.jwt("pay", JwtAlgorithm::Hs256, &claims, None).unwrap();
    assert_eq!(signed.split('.').count(), 3);
    for (holder, name) in [(&native, "pay"), (&plugin, "other")] {
        let error = holder.jwt(name, JwtAlgorithm::Hs256, &claims, None).unwrap_err();
        assert!(matches!(error, SignError::NotAllowed { .. }), "{error}");
    }
    let unknown = plugin.hmac_sha256("gone", b"").unwrap_err();
    assert_eq!(unknown, SignError::Unknown { name: "gone".into() });
    for (bytes, fits) in
        [(MAX_SIGNED_BYTES - 1, true), (MAX_SIGNED_BYTES, true), (MAX_SIGNED_BYTES + 1, false)]
    {
        assert_eq!(plugin.hmac_sha256("pay", &vec![0; bytes]).is_ok(), fits, "{bytes}");
    }
}

#[test]
fn requests_for_aws_are_signed_only_where_the_secret_may_go() {
    let plugin = holder(Reach::of_plugin(["pay".to_owned()]));
    let request = |url| SigV4Request {
        access_key_id: "AKIDEXAMPLE",
        session_token: None,
        region: "us-east-1",
        service: "pay",
        method: "POST",
        url,
        headers: &[],
        body: b"",
    };
    let now = DateTime::UNIX_EPOCH;
    assert!(plugin.aws_sigv4("pay", &request("https://pay.example/v1"), now).is_ok());
    for url in ["https://evil.example/v1", "not a URL"] {
        let error = plugin.aws_sigv4("pay", &request(url), now).unwrap_err();
        assert!(matches!(error, SignError::Malformed { .. }), "{error}");
    }
}

#[test]
fn revealing_is_off_by_default_and_is_noted() {
    for reach in [Reach::of_native_step(), Reach::of_plugin(["pay".to_owned()])] {
        let holder = holder(reach);
        assert!(matches!(holder.reveal("pay"), Err(SignError::NotAllowed { .. })));
        assert!(holder.revealed().is_empty());
    }
    let names = Names::Only(["pay".to_owned()].into());
    let holder = holder(Reach { reveal: names, ..Reach::default() });
    assert_eq!(holder.reveal("pay").unwrap().expose(), VALUE);
    assert_eq!(holder.revealed(), ["pay"]);
}

#[test]
fn what_comes_back_is_scrubbed_of_secrets_beyond_the_reach_too() {
    let holder = holder(Reach::default());
    let clean = holder.scrub(format!("{VALUE}, the other one").into_bytes());
    assert_eq!(clean, b"[secret pay], [secret other]");
}
