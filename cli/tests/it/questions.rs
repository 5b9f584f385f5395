//! Commands that ask before they do what cannot be undone, and changes that somebody else has overtaken meanwhile.

use std::process::Command;

use serde_json::Value;

use crate::development::STATEFLOW;
use crate::operator::Operator;
use crate::terminal::Terminal;

/// What ends the input of a terminal: Ctrl-D at the beginning of a line.
const END_OF_INPUT: &str = "\u{4}";

/// A command that has asked somebody at a terminal and waits for the answer.
struct Asked {
    terminal: Terminal,
    shown: String,
}

impl Asked {
    fn by(operator: &Operator, arguments: &str) -> Self {
        let mut command = Command::new(STATEFLOW);
        command.args(arguments.split(' ')).current_dir(operator.folder.path());
        command.env("STATEFLOW_URL", operator.url()).env("NO_COLOR", "1");
        command.env("XDG_CONFIG_HOME", operator.folder.path().join("config"));
        let mut terminal = Terminal::run(command, 120);
        let shown = terminal.until(|screen| screen.ends_with("[y/N]"));
        Self { terminal, shown }
    }

    /// Answers. How the command ends, and all that it has shown.
    fn answer(mut self, answer: &str) -> (Option<i32>, String) {
        self.terminal.type_in(answer);
        let left = self.terminal.end();
        (left.code, left.written)
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn dead_letters(operator: &Operator) -> usize {
    json(&operator.succeeds("stateflow dlq list --json")).as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_without_a_yes() {
    let operator = Operator::on_duty().await;
    operator.run("orders");
    let before = dead_letters(&operator);
    assert_eq!(before, 2);
    let live = || operator.succeeds("stateflow list --status waiting --json");
    let waiting = live();
    let purge = "dlq purge --all --by ada --reason tests";
    for command in [purge, "reset", "workflows archive fan rests"] {
        // What is no clear yes is a no, and so is the end of the input.
        for answer in ["n\n", "\n", "no\n", "yep\n", END_OF_INPUT] {
            let (code, shown) = Asked::by(&operator, command).answer(answer);
            assert_eq!(code, Some(1), "{command} {answer:?}: {shown}");
            assert!(shown.contains("nothing was done"), "{command} {answer:?}: {shown}");
        }
        // Where nobody can answer, nobody is asked, whatever the input says.
        for input in ["</dev/null", "<<<y", "< <(yes)"] {
            let said = operator.fails(2, &format!("stateflow {command} {input}"));
            assert!(said.contains("add --yes") && !said.contains("[y/N]"), "{command}: {said}");
        }
    }
    assert_eq!((dead_letters(&operator), live()), (before, waiting));
    operator.succeeds("stateflow workflows show fan && stateflow workflows show rests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_enough_in_whatever_case() {
    let operator = Operator::on_duty().await;
    // A single one is not asked about.
    operator.run("orders");
    let asked = Asked::by(&operator, "dlq purge --all --by ada --reason tests");
    assert!(asked.shown.contains("2 dead letters"), "it says of how many: {}", asked.shown);
    let (code, shown) = asked.answer("y\n");
    assert_eq!((code, dead_letters(&operator)), (Some(0), 0), "{shown}");

    operator.run("orders");
    let (code, shown) = Asked::by(&operator, "reset").answer("YES\n");
    assert_eq!((code, dead_letters(&operator)), (Some(0), 0), "{shown}");
    assert!(shown.contains("1 execution cancelled, 1 dead letter purged"), "{shown}");

    let (code, shown) = Asked::by(&operator, "workflows archive fan rests").answer(" Y \n");
    assert_eq!(code, Some(0), "{shown}");
    operator.fails(1, "stateflow workflows show fan");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_somebody_overtakes_publishes_nothing_over_theirs() {
    let operator = Operator::on_duty().await;
    let definition = |milliseconds: u32| {
        format!(
            r#"{{ "name": "rests", "steps": [
                {{ "id": "rest", "type": "wait", "config": {{ "durationMs": {milliseconds} }} }} ] }}"#
        )
    };
    let folder = operator.folder.path();
    std::fs::create_dir(folder.join("defs")).unwrap();
    std::fs::write(folder.join("defs/rests.json"), definition(1)).unwrap();
    std::fs::write(folder.join("defs/new.json"), definition(1).replace("rests", "new")).unwrap();
    std::fs::write(folder.join("theirs.json"), definition(2)).unwrap();

    let asked = Asked::by(&operator, "apply defs");
    assert!(asked.shown.contains("Make 2 changes?"), "{}", asked.shown);
    operator.succeeds("stateflow workflows push theirs.json");
    let (code, shown) = asked.answer("y\n");
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("PRECONDITION_FAILED"), "{shown}");
    let duration = || {
        let shown = json(&operator.succeeds("stateflow workflows show rests"));
        let step = &shown["definition"]["steps"][0];
        (shown["version"].clone(), step["config"]["durationMs"].clone())
    };
    assert_eq!(duration(), (2.into(), 2.into()), "theirs is there");
    operator.succeeds("stateflow workflows show new");

    // Whoever looks again sees what they have done, and decides anew.
    let (code, shown) = Asked::by(&operator, "apply defs").answer("y\n");
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(duration(), (3.into(), 1.into()));
}
