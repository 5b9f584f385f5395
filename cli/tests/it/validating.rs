//! `stateflow validate`: all problems of a file, each with its place, and without a server.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::development::STATEFLOW;

const FAULTY: &str = r#"{
  "name": "w", "colour": 1,
  "steps": [
    { "id": "a", "type": "log", "config": { "message": "${steps.b.output}" }, "next": "b" },
    { "id": "b", "type": "log", "config": { "message": "${input.x and input.y}" } }
  ]
}
"#;

fn validate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(STATEFLOW);
    command.arg("validate").args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn a_file_with_several_mistakes_is_pleasant_to_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.json"), FAULTY).unwrap();
    let output = validate(folder.path(), &["w.json"]);
    assert_eq!(output.status.code(), Some(1));
    let expected = "\
w.json:2:16 /colour UNKNOWN_FIELD: there is no field `colour` here
      help: fields here: $schema, name, description, inputSchema, searchable, vars, steps, output, deadlineMs, retention, onFailure, trigger, triggers
w.json:4:45 /steps/0/config/message STEP_CANNOT_HAVE_RUN: the expression reads step `b`, which cannot have run: it comes after step `a`
      help: let the way lead over `b` first; `default(steps['b'].output, …)` allows for a step that has not run
w.json:5:45 /steps/1/config/message EXPRESSION_INVALID: expected an operator or the end of the expression, found `and` at column 9
      | input.x and input.y
      |         ^
      help: `and` is written `&&`
";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "w.json: 3 problems; `stateflow explain CODE` says more\n");
}

#[test]
fn programs_get_the_expression_and_the_place_in_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.json"), FAULTY).unwrap();
    let output = validate(folder.path(), &["w.json", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report[0]["valid"], false);
    let fault = &report[0]["diagnostics"][2];
    let expression = serde_json::json!({ "text": "input.x and input.y", "line": 1, "column": 9 });
    assert_eq!((&fault["expression"], &fault["line"]), (&expression, &5.into()));
    assert!(report[0]["diagnostics"][0].get("expression").is_none(), "{report}");
}
