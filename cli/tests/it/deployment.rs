//! The scripts in `deploy/`: what they do, and what they refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::development::STATEFLOW;
use crate::operator::{Operator, repository};
use crate::runbooks::blocks;

#[tokio::test(flavor = "multi_thread")]
async fn preflight_says_what_is_in_the_way_and_what_is_not() {
    let operator = Operator::before_the_installation().await;
    let fresh = operator.succeeds("deploy/preflight.sh");
    assert!(fresh.contains("warn  migrations     pending: schema stateflow is empty"), "{fresh}");
    assert!(fresh.contains("nothing in the way"), "{fresh}");
    operator.fails(2, "deploy/preflight.sh --processes none");
    operator.fails(2, "env --unset=DATABASE_URL deploy/preflight.sh");

    for (environment, arguments, line) in [
        ("", "--processes 1000", "FAIL  connections"),
        ("", "--free-mb 999999999", "FAIL  disk"),
        ("STATEFLOW_SECRETS_KEY_FILE=/nowhere", "", "FAIL  keys"),
        ("DATABASE_URL=postgres://nobody@127.0.0.1:1/x", "", "FAIL  postgres       cannot be"),
        ("", "--upgrade", "FAIL  server"),
    ] {
        let said = operator.fails(1, &format!("{environment} deploy/preflight.sh {arguments}"));
        assert!(said.contains(line), "{line}: {said}");
        assert!(said.contains("preflight: "), "{said}");
    }

    operator.succeeds("stateflow migrate");
    operator.succeeds(r#"psql "$DATABASE_URL" -c "update stateflow._sqlx_migrations set success = false where version = 1""#);
    let said = operator.fails(1, "deploy/preflight.sh --upgrade");
    assert!(said.contains("FAIL  history        migrations that did not succeed: 1"), "{said}");
    operator.succeeds(
        r#"psql "$DATABASE_URL" -c "alter system set fsync = off" -c "select pg_reload_conf()""#,
    );
    // The setting arrives with the next connection that is made after the signal.
    let said = operator.fails(1, r#"until psql "$DATABASE_URL" -Atc 'show fsync' | grep -qx off; do :; done; deploy/preflight.sh"#);
    assert!(said.contains("FAIL  postgres       fsync is off"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_restored_as_it_was_and_nothing_is_overwritten() {
    let mut operator = Operator::on_duty().await;
    operator.succeeds("deploy/backup.sh full.dump");
    operator.fails(2, "deploy/backup.sh full.dump");
    let said = operator.fails(1, "deploy/restore.sh --yes full.dump");
    assert!(said.contains("1 workers are alive"), "{said}");
    operator.stop();

    let said = operator.fails(1, "deploy/restore.sh full.dump");
    assert!(said.contains("--yes renames it"), "{said}");
    operator.succeeds(r#"psql "$DATABASE_URL" -c "delete from stateflow.attempts""#);
    let restored = operator.succeeds("deploy/restore.sh --yes full.dump");
    assert!(restored.contains("is the schema stateflow_until_"), "{restored}");
    assert_clean(&operator);
    operator.succeeds(
        r#"psql "$DATABASE_URL" -Atc "select count(*) from stateflow.attempts" | grep -vx 0"#,
    );

    // Whatever is wrong with the files, the schema stays.
    let count = r#"psql "$DATABASE_URL" -Atc "select count(*) from stateflow.executions""#;
    let executions = operator.succeeds(count);
    operator.succeeds("for f in full.dump full.dump.rows; do cp $f ${f/full/bent}; done");
    operator.succeeds("sed -i 's/^workers|.*/workers|9/' bent.dump.rows");
    operator.succeeds("sha256sum bent.dump bent.dump.rows >bent.dump.sha256");
    let said = operator.fails(1, "deploy/restore.sh --yes bent.dump");
    assert!(said.contains("numbers of rows differ") && said.contains("as it was"), "{said}");
    assert_eq!(operator.succeeds(count), executions);
    operator.succeeds("echo >>bent.dump");
    assert!(operator.fails(1, "deploy/restore.sh --yes bent.dump").contains("not what was backed"));
    assert_eq!(operator.succeeds(count), executions);
}

fn assert_clean(operator: &Operator) {
    for (found, rule) in violations(operator) {
        assert_eq!(found, 0, "{rule}");
    }
}

/// What `consistency.sql` finds, by its rules.
fn violations(operator: &Operator) -> Vec<(u32, String)> {
    let check = r#"psql "$DATABASE_URL" --quiet -At -f deploy/consistency.sql"#;
    let lines = operator.succeeds(check);
    let split = |line: &str| {
        let (found, rule) = line.split_once('|').unwrap();
        (found.parse().unwrap(), rule.to_owned())
    };
    lines.lines().map(split).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_consistency_check_finds_each_damage() {
    let operator = Operator::on_duty().await;
    let failed = operator.run("orders");
    operator.succeeds(&format!("stateflow fork {failed}"));
    assert_clean(&operator);
    // In the order of the rules; each statement does one kind of damage.
    for (place, damage) in [
        "insert into queue (execution_id, namespace_id, due_at)
            select id, 1, now() + interval '1 day' from executions where status = 'succeeded' limit 1",
        "update executions set status = 'paused' where id in
            (select id from executions where status = 'succeeded' and records > 0 and id not in (select execution_id from queue) limit 1)",
        "insert into queue (execution_id, namespace_id, due_at) values (gen_random_uuid(), 1, now() + interval '1 day')",
        "update executions set records = records + 1 where id in (select id from executions where status = 'failed' limit 1)",
        "insert into attempts (execution_id, sequence, namespace_id, step_id, attempt, status, worker_id, started_at, finished_at)
            values (gen_random_uuid(), 1, 1, 'x', 1, 'failed', gen_random_uuid(), now(), now())",
        "update executions set version = 99 where id in (select id from executions where status = 'failed' limit 1)",
        "update workflow_versions set plugin_lock = '{\"a/b@1\": \"sha256:00\"}' where version = 2",
        "update plugin_blobs set bytes = bytes || 'x'::bytea",
        "insert into blobs (id, namespace_id, digest, bytes) values (gen_random_uuid(), 1, 'x', 5)",
        "insert into executions (id, namespace_id, workflow_id, version, status, state, input)
            select 'ffffffff-ffff-7fff-8fff-ffffffffffff', 1, workflow_id, 1, 'failed', '{}', '{}' from workflow_versions limit 1",
    ]
    .into_iter()
    .enumerate()
    {
        let before = violations(&operator)[place].0;
        let damage = damage.replace('"', "\\\"");
        operator.succeeds(&format!(
            r#"psql "$DATABASE_URL" -qc "set search_path to stateflow" -c "{damage}""#
        ));
        let (found, rule) = violations(&operator).swap_remove(place);
        assert!(found > before, "{rule}: {damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_that_the_queue_has_lost_go_on_after_the_runbooks_repair() {
    let operator = Operator::on_duty().await;
    let waiting = operator.run("rests");
    operator.succeeds("until stateflow list --status waiting | grep -q rests; do :; done");
    let resting = "stateflow list --status waiting --json";
    let before = operator.succeeds(resting);
    operator.succeeds(r#"psql "$DATABASE_URL" -c "delete from stateflow.queue""#);
    assert_ne!(violations(&operator)[1].0, 0);

    let path = repository().join("docs/runbooks/severity-1-data-corruption.md");
    let text = std::fs::read_to_string(path).unwrap();
    let repair = blocks(&text).into_iter().find(|it| it.commands.contains("insert into")).unwrap();
    operator.succeeds(&repair.commands);
    assert_clean(&operator);
    assert_eq!(operator.succeeds(resting), before);
    operator.succeeds(&format!("stateflow cancel {waiting}"));
    operator.succeeds(&format!("stateflow status --follow {waiting} | grep cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_waits_for_its_schema() {
    let operator = Operator::before_the_installation().await;
    let waiting = |name: &str| {
        let path = repository().join("deploy/kubernetes/base").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.contains("until stateflow doctor"));
        line.unwrap().trim().to_owned()
    };
    let commands = waiting("api.yaml");
    assert_eq!(commands, waiting("worker.yaml"));

    let programs = Path::new(STATEFLOW).parent().unwrap();
    let mut child = Command::new("sh")
        .args(["-c", &commands])
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()))
        .env("DATABASE_URL", &operator.database_url)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap();
    assert!(first.starts_with("FAIL database: schema stateflow is empty"), "{first}");
    operator.succeeds("stateflow migrate");
    let last = lines.last().unwrap();
    assert!(last.starts_with("ok   database:"), "{last}");
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_takes_the_database_from_a_file_and_secrets_are_made_once() {
    let operator = Operator::before_the_installation().await;
    operator.succeeds(r#"printf %s "$DATABASE_URL" >url"#);
    let file = "env --unset=DATABASE_URL DATABASE_URL_FILE=url";
    operator.succeeds(&format!("{file} deploy/entrypoint.sh migrate"));
    operator.succeeds("(deploy/entrypoint.sh doctor || true) | grep '^ok   database:'");
    operator.fails(2, "DATABASE_URL_FILE=url deploy/entrypoint.sh migrate");
    let said = operator
        .fails(2, "env -u DATABASE_URL DATABASE_URL_FILE=none deploy/entrypoint.sh migrate");
    assert!(said.contains("cannot read none"), "{said}");

    let command = "deploy/make-secrets.sh \"$PWD/secrets\"";
    operator.succeeds(command);
    let sums = "cd secrets && sha256sum *";
    let made = operator.succeeds(sums);
    assert_eq!(made.lines().count(), 4, "{made}");
    operator.succeeds(command);
    assert_eq!(operator.succeeds(sums), made);
}

/// A line of `deploy/prometheus/metrics.txt`: type, and labels in their order.
fn known_metrics() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = std::fs::read_to_string(repository().join("deploy/prometheus/metrics.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let known = lines.map(|line| {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        (name, (kind, words.collect()))
    });
    known.collect()
}

#[tokio::test]
async fn alerts_and_dashboards_know_every_metric_and_promtool_likes_them() {
    let operator = Operator::on_duty().await;
    let text =
        operator.succeeds("curl -sf \"$STATEFLOW_URL/api/metrics/prometheus\" | tee metrics.prom");
    let known = known_metrics();
    let mut kinds = BTreeMap::new();
    for line in text.lines() {
        if let Some(told) = line.strip_prefix("# TYPE ") {
            let (name, kind) = told.split_once(' ').unwrap();
            kinds.insert(name.to_owned(), kind.to_owned());
        } else if let Some((series, _)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = line[series.len() + 1..].rsplit_once('}').unwrap().0;
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
            let name = base.filter(|base| kinds.contains_key(*base)).unwrap_or(series);
            let labels =
                labels.split("\",").map(|label| label.split('=').next().unwrap().to_owned());
            let labels: BTreeSet<_> = labels.filter(|label| label != "le").collect();
            assert_eq!(known.get(name).map(|it| &it.1), Some(&labels), "{name}");
        }
    }
    for (name, kind) in &kinds {
        let listed = known.get(name).map(|it| &it.0);
        let other = name.starts_with("process_") && listed.is_none();
        assert!(other || listed == Some(kind), "{name} is a {kind}, and listed as {listed:?}");
    }
    // What has labels is there once it has happened.
    for (name, (_, labels)) in &known {
        assert!(!labels.is_empty() || kinds.contains_key(name), "{name} is listed, and not there");
    }
    // Where `scripts/setup.sh` puts it, if the machine has none.
    let tools = Path::new(STATEFLOW).ancestors().nth(2).unwrap().join("deploy-tools");
    let judged = operator.succeeds(&format!(
        "PATH=$PATH:{} promtool check metrics < metrics.prom 2>&1",
        tools.display()
    ));
    assert_eq!(judged.trim(), "", "{judged}");
}
