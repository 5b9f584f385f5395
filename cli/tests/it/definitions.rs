//! `apply`, `workflows export` and `workflows import`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::operator::Operator;

const LOG: &str = r#"{ "name": "NAME", "steps": [ { "id": "say", "type": "log", "config": { "message": "MESSAGE" } } ] }"#;

fn write(folder: &Path, path: &str, name: &str, message: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, LOG.replace("NAME", name).replace("MESSAGE", message)).unwrap();
}

fn versions(operator: &Operator) -> Vec<(String, i64)> {
    let listed: Value =
        serde_json::from_str(&operator.succeeds("stateflow workflows --json")).unwrap();
    let each = listed.as_array().unwrap().iter();
    each.map(|it| (it["name"].as_str().unwrap().to_owned(), it["latestVersion"].as_i64().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_applied_after_it_was_shown() {
    let operator = Operator::on_duty().await;
    let folder = operator.folder.path();
    let before = versions(&operator);
    write(folder, "defs/b.json", "b", "one");
    // Found first, and calls the other.
    fs::write(
        folder.join("defs/a.json"),
        r#"{ "name": "a", "steps": [ { "id": "call", "type": "workflow", "config": { "workflow": "b" } } ] }"#,
    )
    .unwrap();
    let said = operator.fails(2, "stateflow apply defs --dry-run");
    assert!(said.contains("create a") && said.contains("2 to create, 0 to change"), "{said}");
    assert!(said.contains("only on the server: fan, orders, rests"), "{said}");
    operator.fails(2, "stateflow apply defs </dev/null");
    assert_eq!(versions(&operator), before);

    let said = operator.succeeds("stateflow apply defs --yes");
    assert!(said.contains("published b version 1"), "{said}");
    operator.succeeds("stateflow apply defs --dry-run && stateflow apply defs </dev/null");
    assert_eq!(versions(&operator).len(), before.len() + 2);

    write(folder, "defs/b.json", "b", "two");
    let text = operator.fails(2, "stateflow apply defs --dry-run --json");
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&plan["applied"], &plan["changes"]), (&false.into(), &1.into()));
    let diff = plan["workflows"][1]["diff"].as_array().unwrap();
    let has = |mark: &str, word: &str| {
        diff.iter()
            .any(|it| it.as_str().unwrap().starts_with(mark) && it.as_str().unwrap().contains(word))
    };
    assert!(has("-", "one") && has("+", "two"), "{plan}");
    let text = operator.succeeds("stateflow apply defs --yes --json");
    let done: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&done["applied"], &done["workflows"][1]["version"]), (&true.into(), &2.into()));

    let said = operator.fails(2, "stateflow apply defs --prune --dry-run");
    assert!(said.contains("archive orders") && said.contains("3 to archive"), "{said}");
    let said = operator.succeeds("stateflow apply defs --prune --yes");
    assert!(said.contains("archived orders"), "{said}");
    let left: Vec<_> = versions(&operator).into_iter().map(|(name, _)| name).collect();
    assert_eq!(left, ["a", "b"]);
    operator.succeeds("stateflow apply defs --prune --dry-run");
    operator.fails(2, "stateflow workflows archive a b </dev/null");
    operator.succeeds("stateflow workflows archive a --by ada && stateflow audit | grep ada");
    operator.fails(1, "stateflow workflows archive a");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_if_one_file_is_not_valid() {
    let operator = Operator::on_duty().await;
    let folder = operator.folder.path();
    let before = versions(&operator);
    write(folder, "defs/good.json", "good", "x");
    fs::write(folder.join("defs/odd.json"), "{ \"name\": \"odd\",\n  \"stepz\": [] }").unwrap();
    fs::write(folder.join("defs/torn.json"), "{").unwrap();
    write(folder, "defs/twice/1.json", "twice", "x");
    write(folder, "defs/twice/2.json", "twice", "y");
    let said = operator.fails(1, "stateflow apply defs --yes");
    for expected in [
        "defs/odd.json:2:3 /stepz",
        "defs/torn.json:1:",
        "defs/twice/2.json:/name DUPLICATE_NAME: defs/twice/1.json has a workflow `twice` too",
        "3 files not valid; nothing was changed",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    let text = operator.fails(1, "stateflow apply defs --yes --json 2>/dev/null");
    let faults: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(faults["files"].as_array().unwrap().len(), 3, "{faults}");
    assert_eq!(versions(&operator), before);
    operator.fails(2, "mkdir none && stateflow apply none");
    operator.fails(1, "stateflow apply missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_can_be_imported() {
    let operator = Operator::on_duty().await;
    let before = versions(&operator);
    operator.succeeds("stateflow workflows export --all --dir out");
    let said = operator.succeeds("stateflow workflows import out/*.json");
    assert_eq!(said.matches("unchanged").count(), before.len(), "{said}");
    let said = operator.succeeds("stateflow workflows export --all | stateflow workflows import -");
    assert_eq!(said.matches("unchanged").count(), before.len(), "{said}");
    assert_eq!(versions(&operator), before);

    // The first version of `orders` becomes the newest, as a third.
    operator.succeeds("stateflow workflows export orders --workflow-version 1 >old.json");
    let said = operator.succeeds("stateflow workflows import old.json");
    assert_eq!(said, "published orders version 3\n");
    operator.fails(2, "stateflow workflows export");
    operator.fails(1, "stateflow workflows export nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_listed_with_what_is_live_and_each_version_is_shown() {
    let operator = Operator::on_duty().await;
    // `workflows` alone is for people; scripts say what they want.
    let listed = operator.succeeds("stateflow workflows list --json");
    assert_eq!(listed, operator.succeeds("stateflow workflows --json"));
    let live = || {
        let listed = operator.succeeds("stateflow workflows list --json");
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let orders = listed.as_array().unwrap().iter().find(|it| it["name"] == "orders").unwrap();
        (orders["latestVersion"].clone(), orders["liveVersion"].clone(), orders["ramp"].clone())
    };
    assert_eq!(live(), (2.into(), 2.into(), Value::Null));
    operator.succeeds("stateflow workflows live orders 1 --ramp 2 --percent 10");
    let ramp = serde_json::json!({ "version": 2, "percent": 10 });
    assert_eq!(live(), (2.into(), 1.into(), ramp));
    let table = operator.succeeds("stateflow workflows list");
    let orders = table.lines().find(|line| line.starts_with("orders")).unwrap();
    assert!(orders.contains(" 2 ") && orders.contains(" 1, 10 % 2 "), "{table}");

    let first = operator.shell("stateflow workflows list --limit 1");
    assert_eq!(String::from_utf8_lossy(&first.stdout).lines().count(), 2, "a heading and one");
    assert!(String::from_utf8_lossy(&first.stderr).contains("there are more"), "{first:?}");
    let all = operator.shell("stateflow workflows list --limit 3");
    assert!(all.stderr.is_empty(), "{all:?}");

    let shown = |options: &str| -> (Value, Value) {
        let text = operator.succeeds(&format!("stateflow workflows show orders {options}"));
        let shown: Value = serde_json::from_str(&text).unwrap();
        let url = &shown["definition"]["steps"][0]["config"]["url"];
        (shown["version"].clone(), url.clone())
    };
    assert_eq!(shown(""), (2.into(), "http://127.0.0.1:1/v2".into()));
    assert_eq!(shown("--version 1"), (1.into(), "http://127.0.0.1:1/".into()));
    assert_eq!(shown("--workflow-version 1"), shown("--version 1"));
    let said = operator.fails(1, "stateflow workflows show orders --version 3");
    assert!(said.contains("NOT_FOUND"), "{said}");
    operator.fails(2, "stateflow workflows show orders --version newest");
}
