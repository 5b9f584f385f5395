//! What people see: on a terminal of some size, in a pipe, without colours; and what a closed pipe does.

use std::process::Command;

use crate::development::STATEFLOW;
use crate::operator::Operator;
use crate::terminal::Terminal;

/// What a terminal of so many columns shows of a command.
fn on_terminal(operator: &Operator, columns: u16, arguments: &[&str], no_color: bool) -> String {
    let mut command = Command::new(STATEFLOW);
    command.args(arguments).env("STATEFLOW_URL", operator.url()).env("TERM", "xterm-256color");
    command.env_remove("NO_COLOR").env_remove("COLORTERM");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    let left = Terminal::run(command, columns).end();
    assert_eq!(left.code, Some(0), "{}", left.written);
    left.written.replace("\r\n", "\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_terminals_and_colours_are_for_people() {
    let operator = Operator::on_duty().await;
    let failed = &["failed"][..];
    for columns in [100, 132] {
        let shown = on_terminal(&operator, columns, failed, true);
        assert!(shown.contains("HTTP_CONNECT") && shown.contains('…'), "{shown}");
        let longest = shown.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= usize::from(columns), "{longest} of {columns}:\n{shown}");
        assert!(!shown.contains('\u{1b}'), "NO_COLOR is set: {shown:?}");
    }
    let coloured = on_terminal(&operator, 200, failed, false);
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    let never = on_terminal(&operator, 200, &["failed", "--color", "never"], false);
    assert!(!never.contains('\u{1b}'), "{never:?}");

    let piped = operator.succeeds("stateflow failed");
    assert!(piped.contains("Connection refused") && !piped.contains('\u{1b}'), "{piped:?}");
    let forced = operator.succeeds("NO_COLOR=1 stateflow failed --color always");
    assert!(forced.contains("\u{1b}["), "{forced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let operator = Operator::on_duty().await;
    // The shell fails with any command before a pipe.
    for command in ["list --json", "list", "help", "completions bash", "export --prometheus"] {
        operator.succeeds(&format!("stateflow {command} | head -c 1 >/dev/null"));
        operator.succeeds(&format!("stateflow {command} | true"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_followed_on_a_terminal_and_in_a_pipe() {
    let operator = Operator::on_duty().await;
    let start = "stateflow run lasts --json";
    std::fs::write(
        operator.folder.path().join("lasts.json"),
        r#"{ "name": "lasts", "steps": [
            { "id": "first", "type": "log", "config": { "message": "a" }, "next": "rest" },
            { "id": "rest", "type": "wait", "config": { "durationMs": 1500 }, "next": "last" },
            { "id": "last", "type": "log", "config": { "message": "b" } } ] }"#,
    )
    .unwrap();
    operator.succeeds("stateflow workflows push lasts.json");
    let started = || -> String {
        let answer: serde_json::Value = serde_json::from_str(&operator.succeeds(start)).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    };

    let shown = on_terminal(&operator, 120, &["status", &started(), "--follow"], true);
    assert!(shown.contains("waiting") && shown.contains("ends in"), "{shown}");
    assert!(shown.contains("\u{1b}[J"), "it is drawn over: {shown:?}");
    assert!(shown.trim_end().ends_with("{}"), "the end stays: {shown}");

    let piped = operator.succeeds(&format!("stateflow status {} --watch", started()));
    assert!(!piped.contains('\u{1b}'), "{piped:?}");
    assert!(piped.starts_with("first  1  succeeded"), "{piped}");
    assert!(piped.contains("lasts version 1  succeeded"), "{piped}");

    let watched = "stateflow list --workflow lasts --watch | head -n 2";
    let lines = operator.succeeds(watched);
    assert!(lines.lines().count() == 2 && lines.contains("succeeded"), "{lines}");
}
