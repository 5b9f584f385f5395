//! `stateflow migrate`, and processes beside a schema that is newer than they are.

use store::Store;

use crate::operator::Operator;

/// What the next release may do to the schema: add.
const NEWER: &str = "set search_path to stateflow;
    alter table executions add column later text default 'x';
    alter table queue add column later text;
    alter table attempts add column later integer not null default 1;
    alter table workers add column later text;
    alter table workflows add column later text;
    alter table workflow_versions add column later text;
    alter table messages add column later text;
    create table later (id integer);
    insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (9000, 'later', true, '', 0)";

fn newer(operator: &Operator) {
    operator.succeeds(&format!(r#"psql "$DATABASE_URL" -q -v ON_ERROR_STOP=1 <<<"{NEWER}""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_goes_up_and_down_and_says_where_it_is() {
    let operator = Operator::before_the_installation().await;
    let newest = Store::latest_schema_version();
    let said = operator.fails(1, "stateflow migrate status");
    assert!(said.contains("foundation") && said.contains("pending"), "{said}");
    operator.succeeds("stateflow migrate");
    assert!(!operator.succeeds("stateflow migrate status").contains("pending"));

    operator.succeeds("stateflow migrate down");
    let said = operator.fails(1, "stateflow migrate status");
    assert_eq!(said.matches("pending").count(), 1, "{said}");
    operator.succeeds("stateflow migrate up");
    operator.succeeds("stateflow migrate down --to 3");
    operator.succeeds("stateflow migrate up --to 5");
    let items = operator.shell("stateflow migrate status --json");
    let items: serde_json::Value = serde_json::from_slice(&items.stdout).unwrap();
    let applied = items["items"].as_array().unwrap().iter().filter(|it| !it["appliedAt"].is_null());
    assert_eq!(applied.count(), 5);
    operator.succeeds("stateflow migrate --down-to 2");
    operator.succeeds("stateflow migrate");

    for wrong in [
        "down --to 99",
        "down --to -1",
        "up --to 99",
        "--down-to 99",
        "status --to 1",
        "down --down-to 1",
    ] {
        operator.fails(2, &format!("stateflow migrate {wrong}"));
    }
    let said = operator.fails(2, "stateflow migrate down --to 99");
    assert!(said.contains(&format!("knows 0, which is nothing, to {newest}")), "{said}");
    assert!(!operator.succeeds("stateflow migrate status").contains("pending"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_build_leaves_a_newer_schema_alone_if_it_fits() {
    let operator = Operator::before_the_installation().await;
    operator.succeeds("stateflow migrate");
    newer(&operator);
    let output = operator.shell("stateflow migrate");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("version 9000, newer than this build"), "{said}");
    assert!(operator.succeeds("stateflow migrate status").contains("by a newer build"));
    let said = operator.fails(1, "stateflow migrate down --to 1");
    assert!(said.contains("only a build that knows it"), "{said}");

    let floor =
        r#"psql "$DATABASE_URL" -qc "update stateflow.installation set oldest_known = 9000""#;
    operator.succeeds(floor);
    let said = operator.fails(1, "stateflow migrate");
    assert!(said.contains("wants a build that knows 9000"), "{said}");

    // What is unknown among the known is not newer, but another schema.
    operator.succeeds(r#"psql "$DATABASE_URL" -qc "update stateflow._sqlx_migrations set version = 0 where version = 9000""#);
    operator.fails(1, "stateflow migrate");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_on_a_schema_with_more_in_it() {
    let mut operator = Operator::on_duty().await;
    newer(&operator);
    // What was prepared before, and what is prepared after.
    for _ in 0..2 {
        operator.succeeds("stateflow run fan --wait");
        let failed = operator.run("orders");
        operator.succeeds(&format!("stateflow status {failed}"));
        operator.succeeds(
            "stateflow list && stateflow incidents && stateflow workflows && stateflow health",
        );
        operator.succeeds("stateflow event some.thing --data 1");
        operator.succeeds(&format!("stateflow fork {failed} && stateflow retry {failed}"));
        operator.stop();
        operator.start();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_does_not_begin_on_a_schema_that_does_not_fit() {
    let operator = Operator::before_the_installation().await;
    let refused = |why: &str| {
        for process in ["serve --listen 127.0.0.1:0", "worker"] {
            let said = operator.fails(1, &format!("stateflow {process}"));
            assert!(said.contains(why), "{process}: {said}");
        }
    };
    refused("no schema yet: run `stateflow migrate`");
    operator.succeeds("stateflow migrate up --to 5");
    refused("at version 5, and this build needs");
    operator.succeeds("stateflow migrate");
    newer(&operator);
    let taken = "update stateflow.installation set oldest_known = 9000";
    operator.succeeds(&format!(r#"psql "$DATABASE_URL" -q -c "{taken}""#));
    refused("too new for this build");
}
