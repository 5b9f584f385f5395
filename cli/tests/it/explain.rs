//! `stateflow explain`: a page for a code, near ones for a misspelt one, all of them for none.

use std::process::{Command, Output};

use serde_json::Value;

fn explain(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stateflow"));
    command.arg("explain").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_code_is_explained_as_text_and_as_json() {
    for written in ["EGRESS_DENIED", "egress-denied"] {
        let output = explain(&[written]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let page = text(&output.stdout);
        assert!(page.starts_with("EGRESS_DENIED\n") && page.contains("What to do"), "{page}");
        assert!(page.lines().all(|line| !line.starts_with('#')), "{page}");
    }
    let output = explain(&["EGRESS_DENIED", "--json"]);
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&page["code"], &page["kind"]), (&"EGRESS_DENIED".into(), &"failure".into()));
    assert!(page["text"].as_str().unwrap().starts_with("# EGRESS_DENIED\n"), "{page}");
}

#[test]
fn an_unknown_code_fails_with_near_ones() {
    let output = explain(&["EGRESS_DENID"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(text(&output.stderr).contains("did you mean `EGRESS_DENIED`"), "{output:?}");
}

#[test]
fn without_a_code_all_are_listed_with_a_line_each() {
    let output = explain(&[]);
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    let output = explain(&["--json"]);
    let codes: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(lines.len(), codes.len() + 1, "a line each, and one of headings");
    assert!(codes.iter().any(|it| it["code"] == "SYNTAX" && it["kind"] == "diagnostic"));
}
