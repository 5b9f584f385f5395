//! Lists in windows: whatever their size, pages have all that there is, once, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
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
        labels: BTreeMap::from([("team".to_owned(), "Billing".to_owned())]),
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
        (Filter { text: Some("billing".into()), ..Filter::default() }, of_team),
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
