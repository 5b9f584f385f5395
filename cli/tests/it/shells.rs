//! What is made for shells and manuals is what those accept.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::development::STATEFLOW;

/// Whether a program is there.
fn have(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.unwrap().status.success()
}

/// Gives a text to a program, which has to accept it.
fn accepts(program: &str, arguments: &[&str], text: &[u8]) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{program}: {output:?}");
}

fn script(shell: &str) -> Vec<u8> {
    let output = Command::new(STATEFLOW).args(["completions", shell]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn shells_accept_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let script = script(shell);
        assert!(String::from_utf8_lossy(&script).contains("migrate-executions"), "{shell}");
        // The tests need bash; the others are asked where they are.
        if shell == "bash" || have(shell) {
            accepts(shell, &["-n"], &script);
        }
    }
    for shell in ["powershell", "elvish"] {
        assert!(!script(shell).is_empty(), "{shell}");
    }
    let output = Command::new(STATEFLOW).args(["completions", "tcsh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn bash_completes_commands_and_options() {
    let ask = |words: &str| {
        let last = words.split(' ').count() - 1;
        let commands = format!(
            "source /dev/stdin; COMP_WORDS=({words}); COMP_CWORD={last}; \
             _stateflow stateflow \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             echo \"${{COMPREPLY[@]}}\""
        );
        let mut child = Command::new("bash")
            .args(["--norc", "-c", &commands])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&script("bash")).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    assert_eq!(ask("stateflow dlq red").trim(), "redrive");
    assert_eq!(ask("stateflow apply --dry").trim(), "--dry-run");
    assert!(ask("stateflow list --wat").contains("--watch"));
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(STATEFLOW).args(["man", "--dir"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    for page in ["stateflow.1", "stateflow-apply.1", "stateflow-dlq-redrive.1"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        for part in [".TH ", ".SH NAME", ".SH SYNOPSIS"] {
            assert!(page.contains(part), "{} has no {part}", path.display());
        }
        // groff is what `man` calls, with the same macros. A default may be a word that is longer than a line: that is no
        // fault of the page.
        if have("groff") {
            let arguments = ["-Kutf8", "-man", "-Tutf8", "-ww", "-Wbreak", "-z"];
            accepts("groff", &arguments, page.as_bytes());
        }
    }
}
