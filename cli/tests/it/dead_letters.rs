//! `dlq`, `failed`, `reset`, `metrics`, `export` and `workers` against a server with failed executions.

use serde_json::Value;

use crate::operator::Operator;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn count(operator: &Operator) -> usize {
    json(&operator.succeeds("stateflow dlq list --json")).as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_shown_run_again_and_purged() {
    let operator = Operator::on_duty().await;
    let failed = operator.run("orders");
    let before = count(&operator);
    assert_eq!(before, 2);
    let shown = operator.succeeds(&format!("stateflow dlq show {failed}"));
    assert!(shown.contains("charge (http)") && shown.contains("HTTP_CONNECT"), "{shown}");
    let listed = operator.succeeds("stateflow failed --since 1h");
    assert!(listed.contains(&failed) && listed.contains("Connection refused"), "{listed}");
    assert_eq!(operator.succeeds("stateflow failed --since 1h --error TIMEOUT"), "");

    // Which ones has to be said, and only once.
    for wrong in ["", &format!("{failed} --all"), "--all --workflow orders"] {
        operator.fails(2, &format!("stateflow dlq redrive {wrong} --yes"));
        operator.fails(2, &format!("stateflow dlq purge {wrong} --yes"));
    }
    // Nobody is there to ask; a dry run and a single one need no answer.
    let said = operator.fails(2, "stateflow dlq redrive --all </dev/null");
    assert!(said.contains("2 dead letters") && said.contains("--yes"), "{said}");
    let said = operator.succeeds("stateflow dlq redrive --workflow orders --dry-run");
    assert_eq!(said, "2 dead letters would run again\n");
    assert_eq!(count(&operator), before);

    let command = format!("stateflow dlq redrive {failed} --wait --json </dev/null");
    let action = json(&operator.succeeds(&command));
    assert_eq!((&action["status"], &action["matched"]), (&"done".into(), &1.into()));
    operator.succeeds(&format!("stateflow status {failed} --follow >/dev/null"));
    let timeline = json(&operator.succeeds(&format!("stateflow status {failed} --json")));
    assert_eq!(timeline["timeline"]["items"].as_array().unwrap().len(), 2, "{timeline}");

    let pace = "--canary 1 --rate 50 --stop-above 0 --wait --yes";
    let said = operator.fails(1, &format!("stateflow dlq redrive --all --from-start {pace}"));
    assert!(said.starts_with("stopped: 1 of 2"), "a canary that dies stops it: {said}");
    let said = operator.fails(2, "stateflow bulk cancel --all </dev/null");
    assert!(said.contains("cancel for ") && said.contains("add --yes"), "{said}");
    operator.succeeds("stateflow bulk cancel --status running --wait --yes");

    let said = operator.succeeds("stateflow dlq purge --all --dry-run");
    assert!(said.contains("would be taken off the list"), "{said}");
    operator.succeeds("stateflow dlq purge --error HTTP_CONNECT --by ada --reason known --yes");
    assert_eq!(count(&operator), 0);
    operator.fails(1, &format!("stateflow dlq show {failed}"));
    let audit = operator.succeeds("stateflow audit");
    assert!(audit.contains("ada") && audit.contains("known"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_what_is_there_and_asks_before() {
    let operator = Operator::on_duty().await;
    operator.fails(2, "stateflow reset </dev/null");
    let said = operator.fails(2, "stateflow --url http://stateflow.invalid reset --yes");
    assert!(said.contains("not on this machine"), "{said}");
    let done = json(&operator.succeeds("stateflow reset --yes --json"));
    assert_eq!((&done["cancelled"], &done["purged"]), (&1.into(), &1.into()));
    assert_eq!(count(&operator), 0);
    assert_eq!(operator.succeeds("stateflow list --status waiting"), "");
    assert_eq!(json(&operator.succeeds("stateflow workflows --json")).as_array().unwrap().len(), 3);
    operator.succeeds("stateflow reset </dev/null");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_is_seen_in_numbers() {
    let operator = Operator::on_duty().await;
    operator.succeeds("stateflow health --live && stateflow health --ready");
    let health = json(&operator.succeeds("stateflow health --json"));
    assert_eq!(health["checks"].as_array().unwrap().len(), 5, "{health}");
    let metrics = json(&operator.succeeds("stateflow metrics --json"));
    assert!(metrics["families"].is_null() && metrics["queue"].is_object(), "{metrics}");
    let exported = json(&operator.succeeds("stateflow export -o all.json && cat all.json"));
    assert!(exported["families"].as_array().unwrap().len() > 10, "{exported}");
    let text = operator.succeeds("stateflow export --prometheus");
    assert!(text.contains("# TYPE stateflow_queue_depth gauge"), "{text}");
    let workers = json(&operator.succeeds("stateflow workers --json"));
    assert_eq!(workers.as_array().unwrap().len(), 1);
}
