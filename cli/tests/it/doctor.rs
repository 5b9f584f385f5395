//! `stateflow doctor`: each thing that it looks for, made true on a real database.

use serde_json::Value;

use crate::operator::Operator;

fn sql(operator: &Operator, text: &str) {
    let text = format!("set search_path to stateflow; {text}").replace('"', "\\\"");
    operator.succeeds(&format!(r#"psql "$DATABASE_URL" -q -v ON_ERROR_STOP=1 <<<"{text}""#));
}

/// What is said of a check: its status and its message.
fn said(operator: &Operator, arguments: &str, check: &str) -> (String, String) {
    let output = operator.shell(&format!("stateflow doctor --json {arguments}"));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["ok"].as_bool().unwrap(), output.status.success(), "{report}");
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|it| it["check"] == check);
    let found = found.unwrap_or_else(|| panic!("nothing is said of {check}: {report}"));
    assert_eq!(found["help"].is_string(), found["status"] == "warn" || found["status"] == "fail");
    (found["status"].as_str().unwrap().to_owned(), found["message"].as_str().unwrap().to_owned())
}

fn assert_said(operator: &Operator, check: &str, status: &str, part: &str) {
    let (found, message) = said(operator, "", check);
    assert_eq!(found, status, "{check}: {message}");
    assert!(message.contains(part), "{check}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_installation_is_sound_in_every_line() {
    let operator = Operator::on_duty().await;
    let lines = operator.succeeds("stateflow doctor");
    assert_eq!(lines.lines().count(), 12, "{lines}");
    assert!(lines.lines().all(|line| line.starts_with("ok   ")), "{lines}");
    // A machine that only connects needs no server programs.
    let (status, message) = {
        let output =
            operator.succeeds("PATH=$(dirname $(command -v stateflow)) stateflow doctor --json");
        let report: Value = serde_json::from_str(&output).unwrap();
        let first = &report["checks"][0];
        (first["status"].to_string(), first["message"].to_string())
    };
    assert!(status.contains("note") || status.contains("ok"), "{status}: {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_schema_is_told() {
    let operator = Operator::before_the_installation().await;
    assert_said(&operator, "server", "fail", "");
    assert_said(&operator, "database", "fail", "is empty");
    operator.succeeds("stateflow migrate");
    operator.succeeds("stateflow migrate down");
    assert_said(&operator, "database", "fail", "this build wants");
    operator.succeeds("stateflow migrate up");
    assert_said(&operator, "database", "ok", "answers in");
    assert_said(&operator, "clock", "ok", "this machine's");
    sql(&operator, "update installation set oldest_known = 1000");
    assert_said(&operator, "database", "fail", "wants a build that knows 1000");
    sql(&operator, "update installation set oldest_known = 1");

    sql(&operator, "drop index queue_due");
    assert_said(&operator, "indexes", "fail", "missing: queue_due");
    sql(&operator, "create index queue_due on queue (due_at) where worker_id is null");
    assert_said(&operator, "indexes", "ok", "valid");
    sql(
        &operator,
        "update pg_index set indisvalid = false where indexrelid = 'queue_holder'::regclass",
    );
    assert_said(&operator, "indexes", "fail", "not valid: queue_holder");
    sql(&operator, "reindex index queue_holder");
    assert_said(&operator, "indexes", "ok", "valid");

    sql(&operator, "alter table workers set unlogged");
    assert_said(&operator, "durability", "fail", "a crash empties workers");
    sql(&operator, "alter table workers set logged");
    sql(&operator, "select setval('lease_epochs', 9000000000000000000)");
    assert_said(&operator, "sequences", "fail", "lease_epochs is used to 98 %");
    sql(&operator, "select setval('lease_epochs', 8000000000000000000)");
    assert_said(&operator, "sequences", "warn", "lease_epochs is used to 87 %");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_rows_and_leases_is_told() {
    let operator = Operator::before_the_installation().await;
    operator.succeeds("stateflow migrate");
    sql(
        &operator,
        "insert into executions (id, namespace_id, workflow_id, version, status, state, input)
         values (uuid_at(now() - interval '1 year'), 1, gen_random_uuid(), 1, 'failed', '{}', '{}')",
    );
    assert_said(&operator, "partitions", "warn", "1 of executions");
    sql(&operator, "delete from executions");
    sql(
        &operator,
        "do $$ begin execute format('drop table %I', 'executions_' || to_char(date_trunc('week', now() at time zone 'utc') + interval '7 days', 'YYYYMMDD')); end $$"
            .replace('$', "\\$")
            .as_str(),
    );
    assert_said(&operator, "partitions", "warn", "next week's are missing");

    sql(
        &operator,
        "insert into workers (id, host, pid, build, concurrency, lease_until)
             values ('00000000-0000-7000-8000-000000000001', '', 1, '', 1, now() - interval '1 hour');
         insert into queue (execution_id, namespace_id, due_at, worker_id)
             values (gen_random_uuid(), 1, now(), '00000000-0000-7000-8000-000000000001')",
    );
    assert_said(&operator, "leases", "fail", "1 are held");
    sql(&operator, "update workers set lease_until = now() + interval '1 hour', connections = 500");
    assert_said(&operator, "leases", "ok", "none");
    assert_said(&operator, "connections", "warn", "may take 500");

    assert_said(&operator, "vacuum", "ok", "in time");
    sql(
        &operator,
        "alter table inbox set (autovacuum_enabled = off);
         insert into inbox (namespace_id, execution_id, fact) select 1, gen_random_uuid(), '{}' from generate_series(1, 12000);
         delete from inbox;",
    );
    // The counts arrive when the session that made them has ended.
    let mut last = String::new();
    for _ in 0..200 {
        let (status, message) = said(&operator, "", "vacuum");
        if status == "warn" {
            assert!(message.contains("inbox: 12000 dead"), "{message}");
            return;
        }
        last = message;
    }
    panic!("it was never told: {last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_server_is_told() {
    let operator = Operator::before_the_installation().await;
    operator.succeeds("stateflow migrate");
    let side = sqlx::PgPool::connect(&operator.database_url).await.unwrap();
    let transaction = side.begin().await.unwrap();
    let (status, message) = said(&operator, "--long-transaction-s 0", "transactions");
    assert_eq!(status, "warn", "{message}");
    assert!(message.contains("idle in transaction"), "{message}");
    transaction.rollback().await.unwrap();
    side.close().await;
    assert_said(&operator, "transactions", "ok", "none");

    operator.succeeds(
        r#"psql "$DATABASE_URL" -qc "alter system set fsync = off" -c "select pg_reload_conf()""#,
    );
    operator.succeeds(r#"until psql "$DATABASE_URL" -Atc 'show fsync' | grep -qx off; do :; done"#);
    assert_said(&operator, "durability", "fail", "off: fsync");
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_transactions_and_full_servers_are_told() {
    let mut postgres = testing::private_postgres().await;
    let settings = store::StoreSettings::new(postgres.url(), store::Schema::default());
    store::Store::migrate(&settings).await.unwrap();
    let side = sqlx::PgPool::connect(postgres.url()).await.unwrap();
    let set = "alter system set max_prepared_transactions = 2";
    sqlx::raw_sql(set).execute(&side).await.unwrap();
    side.close().await;
    postgres.restart(testing::StopMode::Fast).await;
    let side = sqlx::PgPool::connect(postgres.url()).await.unwrap();
    let mut one = side.acquire().await.unwrap();
    sqlx::raw_sql("begin; select pg_current_xact_id(); prepare transaction 'left behind'")
        .execute(&mut *one)
        .await
        .unwrap();
    drop(one);
    side.close().await;
    let doctor = |arguments: &str| {
        let output = std::process::Command::new(crate::development::STATEFLOW)
            .arg("doctor")
            .args(arguments.split_whitespace())
            .env("DATABASE_URL", postgres.url())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = doctor("--long-transaction-s 0");
    assert!(lines.contains("WARN transactions: prepared transaction left behind"), "{lines}");
    let taken = postgres.leave_connections(4).await;
    let lines = doctor("");
    assert!(lines.contains("FAIL connections: "), "{lines}");
    drop(taken);
}
