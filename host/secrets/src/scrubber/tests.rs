//! What is taken out, what is left, and what a hostile text can cost.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use engine::attempt::{LogLevel, LogLine};
use engine::failure::ErrorCode;
use serde_json::json;

use super::*;

const CANARY: &str = "ca/na+ry \"42\"=ü";

fn value(text: &str) -> SecretValue {
    SecretValue::new(text.into()).unwrap()
}

fn scrubber(secrets: &[(&str, &str)]) -> Scrubber {
    let values: Vec<_> = secrets.iter().map(|(name, text)| (*name, value(text))).collect();
    Scrubber::new(values.iter().map(|(name, value)| (*name, value)))
}

fn clean(scrubber: &Scrubber, text: &str) -> String {
    let mut text = text.to_owned();
    scrubber.text(&mut text);
    text
}

#[test]
fn every_form_is_replaced_by_the_secret_s_name() {
    let scrubber = scrubber(&[("key", CANARY)]);
    assert_eq!(
        clean(&scrubber, &format!("a {CANARY} b {CANARY}")),
        "a [secret key] b [secret key]"
    );
    for form in forms::of(CANARY) {
        let form = String::from_utf8(form).unwrap();
        assert_eq!(clean(&scrubber, &format!("<{form}>")), "<[secret key]>", "{form}");
    }
    for encoded in [
        BASE64_STANDARD.encode(format!("user:{CANARY}")),
        BASE64_URL_SAFE.encode(format!("u:{CANARY}!")),
    ] {
        assert!(clean(&scrubber, &encoded).contains("[secret key]"), "{encoded}");
    }
}

#[test]
fn what_holds_no_secret_is_left_as_it_is() {
    let scrubber = scrubber(&[("key", CANARY)]);
    for text in ["", "ca/na+ry", "nothing here", "ca/na+ry \"42\"=u"] {
        assert_eq!(scrubber.bytes(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Scrubber::default().bytes(CANARY.as_bytes()), None);
}

#[test]
fn of_secrets_that_begin_alike_the_longest_is_taken_out() {
    let long = format!("12345678{}", "x".repeat(100));
    let other = format!("12345678{}y", "x".repeat(99));
    let scrubber = scrubber(&[("short", "12345678"), ("long", &long), ("other", &other)]);
    assert_eq!(clean(&scrubber, &format!("{long} {other}")), "[secret long] [secret other]");
    assert_eq!(
        clean(&scrubber, &format!("{}!", &long[..50])),
        format!("[secret short]{}!", &long[8..50])
    );
}

#[test]
fn a_secret_that_the_end_cuts_off_is_taken_out() {
    let long = "s3cr3t".repeat(40);
    let scrubber = scrubber(&[("key", &long)]);
    assert_eq!(clean(&scrubber, &format!("a {}", &long[..HEAD_BYTES])), "a [secret key]");
    assert_eq!(clean(&scrubber, &format!("a {}", &long[..200])), "a [secret key]");
}

#[test]
fn strings_numbers_and_keys_of_json_are_looked_through() {
    let scrubber = scrubber(&[("key", CANARY), ("pin", "8812345678")]);
    let mut value =
        json!({ CANARY: [{ "x": format!("a{CANARY}") }, 8_812_345_678_u64, 7, null, true] });
    scrubber.value(&mut value);
    assert_eq!(
        value,
        json!({ "[secret key]": [{ "x": "a[secret key]" }, "[secret pin]", 7, null, true] })
    );
}

#[test]
fn a_report_is_clean_in_its_output_its_failure_and_its_log() {
    let scrubber = scrubber(&[("key", CANARY)]);
    let line = LogLine {
        level: LogLevel::Info,
        message: format!("got {CANARY}"),
        fields: json!({ "k": CANARY }).as_object().unwrap().clone(),
    };
    let failure = Failure::new(ErrorCode::PluginError, format!("bad {CANARY}"))
        .with_details(json!({ "body": CANARY }));
    for result in [Ok(json!([CANARY])), Err(failure)] {
        let mut report = AttemptReport { outcome: result.into(), logs: vec![line.clone()] };
        scrubber.report(&mut report);
        assert!(!format!("{report:?}").contains("na+ry"), "{report:?}");
    }
}

#[test]
fn a_text_made_to_cost_much_is_cut_rather_than_searched() {
    let long = "a".repeat(64 * 1024);
    let scrubber = scrubber(&[("key", &long)]);
    // As many near misses as fit: each of them nearly as long as the secret.
    let text = format!("{}b", &long[..long.len() - 1]).repeat(16);
    let clean = clean(&scrubber, &text);
    assert!(clean.ends_with("[secrets]"), "{}", clean.len());
}

#[test]
fn many_large_secrets_are_found_among_each_other() {
    let values: Vec<_> = (0..100).map(|n| value(&format!("{n:04}-{}", "k".repeat(4000)))).collect();
    let names: Vec<_> = (0..100).map(|n| format!("s{n}")).collect();
    let scrubber = Scrubber::new(names.iter().map(String::as_str).zip(&values));
    let text: Vec<_> = values.iter().map(SecretValue::expose).collect();
    let expected: Vec<_> = names.iter().map(|name| format!("[secret {name}]")).collect();
    assert_eq!(clean(&scrubber, &text.join(" ")), expected.join(" "));
}

#[test]
fn what_a_cut_left_of_a_secret_is_taken_out() {
    let secret = "postgres://user:correct-horse-battery-staple@db";
    let scrubber = scrubber(&[("db", secret)]);
    for length in 8..secret.len() {
        let text = format!("at {}…\nnext {}… end", &secret[..length], &secret[..length]);
        assert_eq!(clean(&scrubber, &text), "at [secret db]…\nnext [secret db]… end", "{length}");
    }
    // Less than the shortest secret says nothing, and neither does a beginning that nobody cut off.
    for text in ["at postgre…", "postgres", "postgres://… ", "…", "……"] {
        let expected = text.replace("postgres://…", "[secret db]…");
        assert_eq!(clean(&scrubber, text), expected, "{text}");
    }
}
