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

fn searchable(name: &str, rest: &Value) -> Value {
    let mut definition = json!({
        "name": name, "searchable": ["/order/id", "/sum"],
        "steps": [{ "id": "a", "type": "log", "config": { "message": "hi" } }],
    });
    definition.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    definition
}

async fn found(server: &Server, text: &str) -> Vec<String> {
    texts(&server.get(&format!("/api/executions?q={text}")).await.body, "id")
}

#[tokio::test(flavor = "multi_thread")]
async fn however_an_execution_is_started_its_input_finds_it() {
    let server = Server::working().await;
    let event = json!({ "trigger": { "type": "event", "event": "paid" } });
    let call = json!({ "steps": [{ "id": "each", "type": "map", "config": { "items": ["C1", "C2"], "steps": [
        { "id": "call", "type": "workflow", "config": {
            "workflow": "single", "input": { "order": { "id": "${item}" } } } },
    ] } }] });
    for definition in [
        searchable("single", &json!({})),
        searchable("on-event", &event),
        searchable("outer", &call),
    ] {
        assert_eq!(server.post("/api/workflows", &definition).await.status, 201, "{definition}");
    }
    let order = |id: &str| json!({ "order": { "id": id }, "sum": 12.5 });

    let single = server.begin("single", json!({ "input": order("A-1") })).await;
    assert_eq!(found(&server, "a-1").await, [&*single]);
    assert_eq!(found(&server, "A-").await, Vec::<String>::new(), "a term is found as a whole");
    let other = json!({ "input": { "order": { "id": ["no", "scalar"] }, "sum": "x".repeat(257) } });
    server.begin("single", other).await;

    let batch = json!({ "executions": [{ "input": order("B-1") }, { "input": order("B-2") }] });
    let batch = server.post("/api/workflows/single/execute/batch", &batch).await.body;
    assert_eq!(found(&server, "B-2").await, [batch["ids"][1].as_str().unwrap()]);

    // What is called is found, and so is the caller; the blocks between them are parts of it.
    let outer = server.run("outer", json!({ "order": { "id": "C2" } })).await;
    let called = found(&server, "C2").await;
    assert_eq!((called.len(), &called[1]), (2, &outer["id"].as_str().unwrap().to_owned()));
    assert_eq!(found(&server, "C1").await.len(), 1);

    let paid = json!({ "event": "paid", "data": order("D-1") });
    assert_eq!(server.post("/api/events", &paid).await.status, 202);
    server.until("/api/executions?q=D-1", "/items/0/workflow", "on-event").await;

    let patch = json!({ "inputPatch": { "order": { "id": "E-1" } } });
    let fork = server.post(&format!("/api/executions/{single}/fork"), &patch).await.body;
    assert_eq!(found(&server, "E-1").await, [fork["id"].as_str().unwrap()]);
    assert_eq!(found(&server, "A-1").await, [&*single], "its input is another");
    let bulk = json!({ "action": "fork", "filter": { "q": "A-1" } });
    assert_eq!(server.post("/api/executions/bulk", &bulk).await.status, 202);
    server.until("/api/executions?q=A-1", "/items/1/id", &single).await;
    server.stop().await;
}
