//! What rules read, allow and cover; `covers` is tried on generated rules and destinations.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;

fn rule(text: &str) -> Rule {
    text.parse().unwrap()
}

fn allows(text: &str, method: &str, url: &str) -> bool {
    let destination = Destination::parse(url).unwrap();
    rule(text).matches(&destination, &method.parse().unwrap())
}

#[test]
fn a_rule_has_one_canonical_text() {
    for (text, canonical) in [
        ("api.example.com", "https://api.example.com"),
        ("https://API.example.com.:443/", "https://api.example.com"),
        ("http://api.example.com:443", "http://api.example.com:443"),
        ("POST,GET,POST https://*.example.com:8443/v1/", "GET,POST https://*.example.com:8443/v1"),
        ("*://*:*", "*://*:*"),
        ("*", "https://*"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[0:0::1]:8080/a b".replace(' ', "%20").as_str(), "http://[::1]:8080/a%20b"),
        ("http://0x7f.1", "http://127.0.0.1"),
    ] {
        assert_eq!(rule(text).to_string(), canonical, "{text}");
        assert_eq!(rule(canonical), rule(text), "{text}");
    }
}

#[test]
fn what_is_no_rule_says_why() {
    for text in [
        "",
        " ",
        "https://",
        "ftp://a.example",
        "get https://a.example",
        "GET, POST https://a.example",
        ", https://a.example",
        "GET  https://a.example",
        "https://*.*.example",
        "https://a*.example",
        "https://*.127.0.0.1",
        "https://*.",
        "https://a..example",
        "https://user@a.example",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example:+1",
        "https://a.example:",
        "https://a.example/?q",
        "https://a.example/#f",
        "https://a.example/v1/*",
        "https://a.example/v1/../x",
        "https://a.example/v1/%2e%2e/x",
        "https://a.example/v1%2fx",
        "https://a.example\\x",
        "https://[::1",
    ] {
        assert!(matches!(text.parse::<Rule>(), Err(RuleError::Syntax { .. })), "{text:?}");
    }
}

#[test]
fn a_rule_has_at_most_512_bytes_and_16_methods() {
    for (bytes, fits) in [(511, true), (512, true), (513, false)] {
        let text = format!("https://a/{}", "x".repeat(bytes - "https://a/".len()));
        assert_eq!(text.parse::<Rule>().is_ok(), fits, "{bytes}");
    }
    for (count, fits) in [(15, true), (16, true), (17, false)] {
        let methods: Vec<_> = (0..count).map(|n| format!("M{}", "X".repeat(n))).collect();
        assert_eq!(format!("{} https://a", methods.join(",")).parse::<Rule>().is_ok(), fits);
    }
}

#[test]
fn hosts_match_exactly_or_below_at_any_depth() {
    for (pattern, url, matches) in [
        ("api.example.com", "https://api.example.com/x", true),
        ("api.example.com", "https://API.EXAMPLE.com./x", true),
        ("api.example.com", "https://example.com/", false),
        ("api.example.com", "http://api.example.com/", false),
        ("*.example.com", "https://a.example.com/", true),
        ("*.example.com", "https://a.b.example.com/", true),
        ("*.example.com", "https://example.com/", false),
        ("*.example.com", "https://badexample.com/", false),
        ("*.example.com", "https://example.com.evil.net/", false),
        ("*", "https://anything.example/", true),
        ("*", "https://8.8.8.8/", true),
        ("8.8.8.8", "https://134744072/", true),
        ("*.8.8", "https://8.8.8.8/", false),
        ("http://[2606:4700::1]", "http://[2606:4700:0::1]/", true),
    ] {
        if let Ok(rule) = pattern.parse::<Rule>() {
            let destination = Destination::parse(url).unwrap();
            assert_eq!(rule.matches(&destination, &Method::GET), matches, "{pattern} {url}");
        } else {
            assert!(!matches, "{pattern}");
        }
    }
}

#[test]
fn schemes_ports_and_methods_match_as_written() {
    for (pattern, method, url, matches) in [
        ("https://a.example", "GET", "https://a.example:8443/", false),
        ("https://a.example:*", "GET", "https://a.example:8443/", true),
        ("https://a.example:8443", "GET", "https://a.example/", false),
        ("*://a.example", "GET", "http://a.example/", true),
        ("*://a.example", "GET", "https://a.example/", true),
        ("*://a.example", "GET", "http://a.example:443/", false),
        ("GET,POST https://a.example", "POST", "https://a.example/", true),
        ("GET,POST https://a.example", "DELETE", "https://a.example/", false),
        ("GET https://a.example", "HEAD", "https://a.example/", false),
    ] {
        assert_eq!(allows(pattern, method, url), matches, "{pattern} {method} {url}");
    }
}

#[test]
fn a_path_prefix_ends_at_a_segment_and_cannot_be_climbed_out_of() {
    for (path, matches) in [
        ("/v1", true),
        ("/v1/", true),
        ("/v1/users?x=/../..", true),
        ("/%76%31/users", true),
        ("/v1/users/../x", true),
        ("/v10", false),
        ("/v", false),
        ("/V1/x", false),
        ("//v1/x", false),
        ("/v1/../admin", false),
        ("/v1/%2e%2e/admin", false),
        ("/v1/.%2E/admin", false),
        ("/v1/..%2fadmin", false),
        ("/v1/..%5cadmin", false),
        ("/v1/%252e%252e%252fadmin", false),
        ("/v1/..;/admin", false),
        ("/v1/\\..\\..\\admin", false),
    ] {
        let url = format!("https://a.example{path}");
        assert_eq!(allows("https://a.example/v1/", "GET", &url), matches, "{path}");
    }
}

#[test]
fn covering_is_judged_part_by_part() {
    for (wide, narrow, covers) in [
        ("*://*:*", "GET http://[::1]:99/x", true),
        ("*.example.com", "*.a.example.com", true),
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "example.com", false),
        ("a.example.com", "*.example.com", false),
        ("*://a.example", "https://a.example", true),
        ("https://a.example", "*://a.example", false),
        ("*://a.example:443", "https://a.example", true),
        ("https://a.example", "https://a.example:*", false),
        ("GET,POST https://a.example", "GET https://a.example", true),
        ("GET https://a.example", "https://a.example", false),
        ("https://a.example/v1", "https://a.example/v1/x", true),
        ("https://a.example/v1", "https://a.example/v10", false),
        ("https://a.example/v1", "https://a.example", false),
    ] {
        assert_eq!(rule(wide).covers(&rule(narrow)), covers, "{wide} {narrow}");
    }
}

fn generated_rule(chance: &mut StdRng) -> Rule {
    let methods = *["", "GET ", "POST ", "GET,POST "].choose(chance).unwrap();
    let scheme = *["http", "https", "*"].choose(chance).unwrap();
    let host = *["*", "*.b", "*.a.b", "b", "a.b", "x.a.b", "8.8.8.8"].choose(chance).unwrap();
    let port = *["", ":*", ":80", ":443", ":8080"].choose(chance).unwrap();
    let path = *["", "/p", "/p/q", "/pq"].choose(chance).unwrap();
    rule(&format!("{methods}{scheme}://{host}{port}{path}"))
}

fn generated_destination(chance: &mut StdRng) -> (Destination, Method) {
    let scheme = *["http", "https"].choose(chance).unwrap();
    let host = *["b", "a.b", "x.a.b", "y.x.a.b", "c", "8.8.8.8"].choose(chance).unwrap();
    let port = *["", ":80", ":443", ":8080"].choose(chance).unwrap();
    let path = *["/", "/p", "/p/q/r", "/pq", "/p/..%2fx", "/p//q"].choose(chance).unwrap();
    let method = [Method::GET, Method::POST, Method::PUT].choose(chance).unwrap().clone();
    (Destination::parse(&format!("{scheme}://{host}{port}{path}")).unwrap(), method)
}

#[test]
fn what_a_covered_rule_allows_is_allowed_by_the_rule_that_covers_it() {
    let mut chance = StdRng::seed_from_u64(2);
    let requests: Vec<_> = (0..500).map(|_| generated_destination(&mut chance)).collect();
    let (mut covered, mut both) = (0, 0);
    for _ in 0..20_000 {
        let (wide, narrow) = (generated_rule(&mut chance), generated_rule(&mut chance));
        assert!(wide.covers(&wide), "{wide}");
        if !wide.covers(&narrow) {
            continue;
        }
        covered += 1;
        for (destination, method) in &requests {
            if narrow.matches(destination, method) {
                both += 1;
                assert!(wide.matches(destination, method), "{wide} {narrow} {destination}");
            }
        }
    }
    assert!(covered > 300 && both > 2_000, "too few cases: {covered}, {both}");
}

#[test]
fn a_rule_that_is_not_covered_allows_something_more() {
    let mut chance = StdRng::seed_from_u64(3);
    let destinations: Vec<_> = (0..4_000).map(|_| generated_destination(&mut chance)).collect();
    let mut witnessed = 0;
    for _ in 0..300 {
        let (ours, theirs) = (generated_rule(&mut chance), generated_rule(&mut chance));
        let more = destinations
            .iter()
            .any(|(to, method)| theirs.matches(to, method) && !ours.matches(to, method));
        witnessed += usize::from(more);
        assert!(!(more && ours.covers(&theirs)), "{ours} {theirs}");
    }
    assert!(witnessed > 50, "too few cases: {witnessed}");
}

#[test]
fn any_text_is_read_or_refused_and_what_is_read_is_read_again() {
    let mut chance = StdRng::seed_from_u64(4);
    let letters: Vec<char> = "GET POST,:/*.[]@?#%2eaü\\\0 1".chars().collect();
    for _ in 0..50_000 {
        let length = chance.random_range(0..24);
        let text: String = (0..length).map(|_| *letters.choose(&mut chance).unwrap()).collect();
        if let Ok(rule) = text.parse::<Rule>() {
            assert_eq!(rule.to_string().parse::<Rule>().as_ref(), Ok(&rule), "{text:?}");
        }
    }
}
