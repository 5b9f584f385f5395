//! Lists in windows: whatever their size, pages have all that there is, once, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::searchable::Terms;
use serde_json::json;
use sqlx::{AssertSqlSafe, Row, SqlSafeStr};
use stateflow_store::DEFAULT_NAMESPACE;
use stateflow_store::listing::{Effort, Filter};
use stateflow_store::starts::NewExecution;
use uuid::Uuid;

use crate::fixture::Fixture;

#[tokio::test]
async fn small_windows_show_the_same_executions_as_large_ones() {
    let fixture = Fixture::new().await;
    let mut executions = fixture.start(19).await;
    let of_team = NewExecution {
        labels: labels("team", "Billing"),
        terms: terms(&json!({ "order": "A7", "odd": ODD })),
        ..fixture.execution()
    };
    executions.push(of_team.id);
    fixture.store.start_executions(&[of_team]).await.unwrap();
    executions.sort_unstable();
    executions.reverse();
    let beginning = executions[3].to_string()[..30].to_owned();
    let labelled = json!({ "team": "Billing" });
    let of_team = vec![executions[0]];
    let filters = [
        (Filter::default(), executions.clone()),
        (Filter { status: Some("pending".into()), ..Filter::default() }, executions.clone()),
        (
            Filter { workflow_id: Some(fixture.workflow_id), ..Filter::default() },
            executions.clone(),
        ),
        (
            Filter { text: Some(executions[3].to_string()), ..Filter::default() },
            vec![executions[3]],
        ),
        (
            Filter { text: Some(beginning.clone()), ..Filter::default() },
            executions
                .iter()
                .copied()
                .filter(|it| it.to_string().starts_with(&beginning))
                .collect(),
        ),
        (Filter { status: Some("failed".into()), ..Filter::default() }, Vec::new()),
        (Filter { dead_letter: Some(true), ..Filter::default() }, Vec::new()),
        (Filter { text: Some("nothing".into()), ..Filter::default() }, Vec::new()),
        (Filter { labels: Some(labelled), ..Filter::default() }, of_team.clone()),
        (Filter { text: Some("billing".into()), ..Filter::default() }, of_team.clone()),
        (Filter { text: Some("a7".into()), ..Filter::default() }, of_team.clone()),
        (Filter { text: Some(ODD.to_lowercase()), ..Filter::default() }, of_team),
        (Filter { text: Some("A".into()), ..Filter::default() }, Vec::new()),
        (Filter { version: Some(2), ..Filter::default() }, Vec::new()),
        (Filter { before: Some(executions[9]), ..Filter::default() }, executions[10..].to_vec()),
    ];
    for window in [1, 3, 100] {
        for (filter, expected) in &filters {
            let effort = Effort { window, time: Duration::ZERO };
            let seen = all(&fixture, filter.clone(), effort).await;
            assert_eq!(&seen, expected, "{filter:?} in windows of {window}");
        }
    }
}

/// What an array of texts in one text has to be careful with.
const ODD: &str = r#"A "b" {c, d} \' NULL"#;

fn labels(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

fn terms(input: &serde_json::Value) -> Terms {
    Terms::of(&["/order".to_owned(), "/odd".to_owned()], input)
}

#[tokio::test]
async fn what_is_rare_is_found_at_once_and_what_is_not_in_windows() {
    let fixture = Fixture::new().await;
    let rare = NewExecution {
        labels: labels("team", "Billing"),
        terms: terms(&json!({ "order": 4_711 })),
        ..fixture.execution()
    };
    let rare_id = rare.id;
    let mut new = vec![rare];
    new.extend((0..60).map(|_| NewExecution {
        labels: labels("team", "ops"),
        terms: terms(&json!({ "order": "01a22025" })),
        ..fixture.execution()
    }));
    fixture.store.start_executions(&new).await.unwrap();
    fixture.start(60).await;
    let effort = Effort { window: 10, time: Duration::ZERO };
    let first = async |filter: &Filter| {
        fixture.store.list(DEFAULT_NAMESPACE, filter, 4, effort).await.unwrap()
    };
    let text = |text: &str| Filter { text: Some(text.to_owned()), ..Filter::default() };
    let label =
        |value: &str| Filter { labels: Some(json!({ "team": value })), ..Filter::default() };
    for filter in [text("4711"), text("billing"), label("Billing")] {
        let page = first(&filter).await;
        let seen: Vec<_> = page.items.iter().map(|it| it.id).collect();
        assert_eq!((seen, page.next), (vec![rare_id], None), "{filter:?}");
    }
    for absent in [text("4712"), text("ill"), label("billing")] {
        let page = first(&absent).await;
        assert_eq!((page.items.len(), page.next), (0, None), "{absent:?}");
    }
    // As many as may be looked at are rare, one more is not.
    for (window, seen) in [(59, 0), (60, 4), (61, 4)] {
        let effort = Effort { window, time: Duration::ZERO };
        for filter in [text("ops"), label("ops")] {
            let page = fixture.store.list(DEFAULT_NAMESPACE, &filter, 4, effort).await.unwrap();
            assert_eq!(
                (page.items.len(), page.next.is_some()),
                (seen, true),
                "{window} {filter:?}"
            );
        }
    }
    // Newer than all of these are others; windows go on behind them. A term may look like the beginning of an id.
    for filter in [text("ops"), label("ops"), text("01A22025")] {
        let page = first(&filter).await;
        assert!(page.items.is_empty() && page.next.is_some(), "{filter:?}");
        assert_eq!(all(&fixture, filter, effort).await.len(), 60);
    }
    fixture.store.close().await;
}

#[tokio::test]
async fn a_list_of_what_is_rare_reads_the_index_of_it_whoever_plans() {
    let fixture = Fixture::new().await;
    let side = fixture.side().await;
    let mut connection = side.acquire().await.unwrap();
    let statement = include_str!("../../queries/list_executions.sql");
    let fill = format!(
        "set search_path = stateflow;
         insert into executions (id, namespace_id, workflow_id, version, status, state, input, labels, terms)
         select (substr(uuid_at(now())::text, 1, 14) || '7000-8000-' || substr(md5(i::text), 1, 12))::uuid,
                1, '{workflow}', 1, 'succeeded', '{{}}', '{{}}', jsonb_build_object('order', 'o' || i),
                array['t' || i]
         from generate_series(1, 20000) i;
         analyze executions;
         prepare list (text, integer, uuid, uuid, bigint, bigint, uuid, text, integer, jsonb, text, boolean, uuid[], uuid, uuid, text)
         as {statement}",
        workflow = fixture.workflow_id,
    );
    sqlx::raw_sql(AssertSqlSafe(fill).into_sql_str()).execute(&mut *connection).await.unwrap();
    for mode in ["force_generic_plan", "force_custom_plan"] {
        for (place, labels, text, indexes) in [
            ("labelled", "'{\"order\": \"o7\"}'", "null", &["labels_jsonb_path"][..]),
            ("termed", "null", "'t7'", &["terms_idx", "labels_jsonb_path"]),
        ] {
            let explain = format!(
                "set plan_cache_mode = {mode}; explain (analyze, costs off) execute list ('{place}', 1,
                 '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 2000, 51,
                 null, null, null, {labels}, null, null, '{{}}', null, null, {text})"
            );
            let rows = sqlx::raw_sql(AssertSqlSafe(explain).into_sql_str());
            let rows = rows.fetch_all(&mut *connection).await.unwrap();
            let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let scanned: Vec<_> = plan.iter().filter(|it| it.contains("on executions_")).collect();
            assert!(!scanned.is_empty());
            for index in indexes {
                let used = plan.iter().any(|it| it.contains(index) && it.contains("rows=1 "));
                assert!(used || *index != indexes[0], "{mode} {place} {index}: {plan:#?}");
                assert!(
                    plan.iter().any(|it| it.contains(index)),
                    "{mode} {place} {index}: {plan:#?}"
                );
            }
            let read_all =
                |it: &String| it.contains("Scan on executions_") && it.contains("rows=20000 ");
            assert!(!plan.iter().any(read_all), "{mode} {place}: {plan:#?}");
        }
    }
    fixture.store.close().await;
}

async fn all(fixture: &Fixture, mut filter: Filter, effort: Effort) -> Vec<Uuid> {
    let mut seen = Vec::new();
    loop {
        let page = fixture.store.list(DEFAULT_NAMESPACE, &filter, 4, effort).await.unwrap();
        assert!(page.items.len() <= 4);
        seen.extend(page.items.iter().map(|it| it.id));
        let Some(next) = page.next else { return seen };
        assert!(filter.before.is_none_or(|before| next < before), "it goes on");
        filter.before = Some(next);
    }
}
