//! Finding executions and workflows: filters that filter, pages without gaps while the list grows.

use std::collections::HashSet;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::server::Server;

async fn server() -> Server {
    let server = Server::start().await;
    let steps = json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }]);
    for name in ["alpha", "beta", "gamma", "delta", "epsilon"] {
        server.publish(name, steps.clone()).await;
    }
    server
}

fn texts(page: &Value, field: &str) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| it[field].as_str().unwrap().to_owned()).collect()
}

fn instants(page: &Value) -> Vec<DateTime<Utc>> {
    texts(page, "createdAt").iter().map(|it| it.parse().unwrap()).collect()
}

#[tokio::test]
async fn pages_of_a_filtered_list_have_no_gaps_while_it_grows() {
    let server = server().await;
    let mut expected = Vec::new();
    for n in 0..12 {
        let id = server.begin(if n % 3 == 0 { "beta" } else { "alpha" }, json!({})).await;
        if n % 3 != 0 {
            expected.push(id);
        }
    }
    expected.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            server.get(&format!("/api/executions?workflow=alpha&limit=3{cursor}")).await.body;
        seen.extend(texts(&page, "id"));
        // What is new is newer than every cursor.
        server.begin("alpha", json!({})).await;
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, expected);
    server.stop().await;
}

#[tokio::test]
async fn a_page_that_is_exactly_full_is_the_last() {
    let server = server().await;
    for _ in 0..4 {
        server.begin("alpha", json!({})).await;
    }
    for (limit, has_more) in [(3, true), (4, false), (5, false)] {
        let page = server.get(&format!("/api/executions?limit={limit}")).await.body;
        assert_eq!(page["nextCursor"].is_string(), has_more, "{limit}");
    }
    server.stop().await;
}

#[tokio::test]
async fn bounds_in_time_include_the_first_instant_and_not_the_last() {
    let server = server().await;
    for _ in 0..9 {
        server.begin("alpha", json!({})).await;
    }
    let created = instants(&server.get("/api/executions").await.body);
    let middle = created[4];
    let after: Vec<_> = created.iter().copied().filter(|it| *it >= middle).collect();
    let before: Vec<_> = created.iter().copied().filter(|it| *it < middle).collect();
    for (field, expected) in [("since", after), ("until", before)] {
        let instant = middle.to_rfc3339_opts(SecondsFormat::Millis, true);
        let page = server.get(&format!("/api/executions?{field}={instant}")).await.body;
        assert_eq!(instants(&page), expected, "{field}={instant}");
    }
    for (query, count) in [
        ("since=1960-01-01T00:00:00Z", 9),
        ("until=1960-01-01T00:00:00Z", 0),
        ("since=-9999-01-01T00:00:00Z", 9),
        ("until=%2B20000-01-01T00:00:00Z", 9),
        ("since=%2B20000-01-01T00:00:00Z", 0),
    ] {
        let page = server.get(&format!("/api/executions?{query}")).await.body;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(count), "{query}: {page}");
    }
    server.stop().await;
}

/// An empty answer to a misspelt filter would be read as "nothing failed".
#[tokio::test]
async fn a_filter_that_can_match_nothing_is_refused() {
    let server = server().await;
    for query in [
        "status=suceeded",
        "status=",
        "status=Failed",
        "error=TIMEDOUT",
        "since=yesterday",
        "until=1",
        "version=one",
    ] {
        let answer = server.get(&format!("/api/executions?{query}")).await;
        answer.is_problem(400, "REQUEST_INVALID");
    }
    for query in ["status=waiting", "error=TIMEOUT", "q="] {
        assert_eq!(server.get(&format!("/api/executions?{query}")).await.status, 200, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_search_takes_every_character_as_it_stands() {
    let server = Server::start().await;
    let steps = json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }]);
    for name in ["pay_out", "pay-out", "payout"] {
        server.publish(name, steps.clone()).await;
        server.begin(name, json!({})).await;
    }
    let newest = server.begin("payout", json!({})).await;
    for (q, count) in [
        ("pay_out", 1),
        ("PAY_", 1),
        ("y-o", 1),
        ("payout", 2),
        ("_", 1),
        ("%25", 0),
        ("p%25t", 0),
        ("%5C", 0),
        ("", 4),
        (newest.as_str(), 1),
        (&newest.to_uppercase(), 1),
        (&newest[1..], 0),
    ] {
        let page = server.get(&format!("/api/executions?q={q}")).await.body;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(count), "{q}: {page}");
    }
    server.stop().await;
}

#[tokio::test]
async fn workflows_are_listed_by_name_each_once() {
    let server = server().await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/workflows?limit=2{cursor}")).await.body;
        seen.extend(texts(&page, "name"));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["alpha", "beta", "delta", "epsilon", "gamma"]);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
    for query in ["limit=0", "limit=501", "colour=red"] {
        let answer = server.get(&format!("/api/workflows?{query}")).await;
        answer.is_problem(400, "REQUEST_INVALID");
    }
    server.stop().await;
}
