//! Failures by kind: the newest are counted, however many there are, and what an older build has written is among them.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, SqlSafeStr};
use stateflow_store::DEFAULT_NAMESPACE;
use stateflow_store::bulk::{Incidents, MAX_GROUPED};
use stateflow_store::listing::Filter;

use crate::fixture::Fixture;

/// Puts so many failures there, newer than all others, as a statement of a build would.
async fn failures(fixture: &Fixture, count: i64, columns: &str, values: &str) {
    let sql = format!(
        "set search_path = stateflow;
         insert into executions (id, namespace_id, workflow_id, version, status, input, dead_letter, {columns})
         select (substr(uuid_at(now())::text, 1, 14) || '7000-8000-' || substr(md5(random()::text), 1, 12))::uuid,
                1, '{}', 1, 'failed', '{{}}', true, {values}
         from generate_series(1, {count})",
        fixture.workflow_id
    );
    sqlx::raw_sql(AssertSqlSafe(sql).into_sql_str()).execute(&fixture.side().await).await.unwrap();
}

async fn incidents(fixture: &Fixture) -> Incidents {
    fixture.store.incidents(DEFAULT_NAMESPACE, DateTime::<Utc>::UNIX_EPOCH, 100).await.unwrap()
}

#[tokio::test]
async fn the_newest_two_thousand_failures_are_counted() {
    let fixture = Fixture::new().await;
    let columns = "state, failure, failed_code, failed_step";
    let values = r#"'{}', '{"code":"TIMEOUT","message":"slow"}', 'TIMEOUT', 's'"#;
    assert_eq!(incidents(&fixture).await.looked_at, 0);
    failures(&fixture, MAX_GROUPED - 1, columns, values).await;
    for expected in [MAX_GROUPED - 1, MAX_GROUPED, MAX_GROUPED] {
        let found = incidents(&fixture).await;
        assert_eq!(found.looked_at, expected);
        let [kind] = &found.kinds[..] else { panic!("{found:?}") };
        assert_eq!(kind.executions, expected);
        assert_eq!((kind.step.as_deref(), kind.code.as_deref()), (Some("s"), Some("TIMEOUT")));
        assert_eq!(kind.message.as_deref(), Some("slow"));
        failures(&fixture, 1, columns, values).await;
    }
    fixture.store.close().await;
}

#[tokio::test]
async fn failures_that_an_older_build_has_written_are_counted_whatever_their_state_holds() {
    let fixture = Fixture::new().await;
    let failure = r#"'{"code":"TIMEOUT","message":"slow"}'"#;
    let stopped = format!(r#"'{{"stoppedAt":"s"}}', {failure}"#);
    failures(&fixture, 1, "state, failure", &stopped).await;
    let nul = format!(r#"'{{"stoppedAt":"s","error":"a\u0000b"}}', {failure}"#);
    failures(&fixture, 2, "state, failure", &nul).await;
    let found = incidents(&fixture).await;
    let steps: Vec<_> = found.kinds.iter().map(|it| (it.step.as_deref(), it.executions)).collect();
    assert_eq!(steps, [(None, 2), (Some("s"), 1)], "Postgres cannot look into the two");
    let kinds = fixture.store.dead_letter_kinds(DEFAULT_NAMESPACE).await.unwrap();
    assert_eq!((kinds.len(), kinds[0].executions, kinds[0].code.as_str()), (1, 3, "TIMEOUT"));
    let filter = Filter::default();
    let letters = fixture.store.dead_letters(DEFAULT_NAMESPACE, &filter, 10).await.unwrap();
    assert_eq!(letters.iter().filter(|it| it.step.as_deref() == Some("s")).count(), 1);
    fixture.store.close().await;
}
