//! Events, signals, callbacks and triggers, from outside.

use serde_json::{Value, json};

use crate::server::Server;

fn wait(config: &Value) -> Value {
    json!([{ "id": "w", "type": "wait", "config": config, "output": "${result.data}" }])
}

fn path(id: &str) -> String {
    format!("/api/executions/{id}")
}

async fn event(server: &Server, name: &str, data: Value) -> Value {
    let answer = server.post("/api/events", &json!({ "event": name, "data": data })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.body
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_wakes_the_execution_that_it_is_meant_for() {
    let server = Server::working().await;
    let matching = "event.data.order == input.order";
    server.publish("w", wait(&json!({ "event": { "name": "paid", "match": matching } }))).await;
    let one = server.begin("w", json!({ "input": { "order": "A" } })).await;
    let two = server.begin("w", json!({ "input": { "order": "B" } })).await;
    for id in [&one, &two] {
        server.until(&path(id), "/status", "waiting").await;
    }
    let why = server.get(&format!("{}/why", path(&two))).await.body;
    assert_eq!(
        (&why["reason"]["type"], &why["reason"]["event"]),
        (&json!("WAIT_EVENT"), &json!("paid"))
    );
    event(&server, "sent", json!({ "order": "B" })).await;
    event(&server, "paid", json!({ "order": "B", "sum": 3 })).await;
    let ended = server.until(&path(&two), "/status", "succeeded").await;
    assert_eq!(ended["output"], json!({ "order": "B", "sum": 3 }));
    assert_eq!(server.get(&path(&one)).await.body["status"], "waiting");
    event(&server, "paid", json!({ "order": "A" })).await;
    server.until(&path(&one), "/status", "succeeded").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_came_first_is_found_by_looking_back() {
    let server = Server::working().await;
    let back =
        json!({ "event": { "name": "paid", "match": "event.data == input", "lookbackMs": 60000 } });
    server.publish("back", wait(&back)).await;
    // More than a page of others has come before it.
    for n in 0..120 {
        event(&server, "paid", json!(n)).await;
    }
    let ended = server.run("back", json!(110)).await;
    assert_eq!(ended["output"], 110, "{ended}");
    // Once taken in, it is there for others all the same.
    assert_eq!(server.run("back", json!(110)).await["output"], 110);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_taken_once_per_id() {
    let server = Server::start().await;
    let first =
        server.post("/api/events", &json!({ "id": "e1", "event": "paid", "data": 1 })).await;
    let second =
        server.post("/api/events", &json!({ "id": "e1", "event": "paid", "data": 2 })).await;
    assert_eq!((first.status, &first.body["duplicate"]), (202, &json!(false)));
    assert_eq!((second.status, &second.body["duplicate"]), (202, &json!(true)));
    assert_eq!(first.body["id"], second.body["id"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_events_and_signals_are_refused() {
    let server = Server::start().await;
    for name in ["", "a b", "token:w", "approval:w", &"x".repeat(201)] {
        let body = json!({ "event": name });
        server.post("/api/events", &body).await.is_problem(400, "REQUEST_INVALID");
    }
    server.post("/api/events", &json!({})).await.is_problem(400, "REQUEST_INVALID");
    let long = json!({ "event": "e", "id": "x".repeat(256) });
    server.post("/api/events", &long).await.is_problem(400, "REQUEST_INVALID");
    let data = |bytes: usize| json!({ "event": "e", "data": "x".repeat(bytes - 2) });
    assert_eq!(server.post("/api/events", &data(1 << 20)).await.status, 202);
    server.post("/api/events", &data((1 << 20) + 1)).await.is_problem(413, "TOO_LARGE");
    let nobody = "/api/executions/00000000-0000-7000-8000-000000000000/signal";
    server.post(nobody, &json!({ "name": "e" })).await.is_problem(404, "NOT_FOUND");
    server.post(nobody, &json!({ "name": "a:b" })).await.is_problem(400, "REQUEST_INVALID");
    for token in ["x", &"A".repeat(60)] {
        server.post(&format!("/api/tokens/{token}"), &json!({})).await.is_problem(404, "NOT_FOUND");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_kept_until_a_step_waits_for_it_and_is_taken_in_once() {
    let mut server = Server::start().await;
    let step = |id: &str, next: Option<&str>| json!({ "id": id, "type": "wait", "config": { "event": { "name": "go" } }, "output": "${result.data}", "next": next });
    let steps = json!([step("first", Some("second")), step("second", None)]);
    let definition = json!({ "name": "w", "steps": steps, "output": "${[steps.first.output, steps.second.output]}" });
    let mut definition = definition;
    definition["steps"][1].as_object_mut().unwrap().remove("next");
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
    let id = server.begin("w", json!({})).await;
    let signal = format!("{}/signal", path(&id));
    // It has not even begun.
    let sent = server.post(&signal, &json!({ "name": "go", "data": 1, "id": "s1" })).await;
    assert_eq!((sent.status, &sent.body["duplicate"]), (202, &json!(false)));
    let again = server.post(&signal, &json!({ "name": "go", "data": 9, "id": "s1" })).await;
    assert_eq!(again.body["duplicate"], true);
    server.add_worker();
    server.until(&path(&id), "/steps/0/status", "succeeded").await;
    assert_eq!(
        server.get(&path(&id)).await.body["status"],
        "waiting",
        "the second waits for another"
    );
    assert_eq!(server.post(&signal, &json!({ "name": "go", "data": 2 })).await.status, 202);
    let ended = server.until(&path(&id), "/status", "succeeded").await;
    assert_eq!(ended["output"], json!([1, 2]));
    server.post(&signal, &json!({ "name": "go" })).await.is_problem(409, "EXECUTION_ENDED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_token_completes_the_step() {
    let server = Server::working().await;
    let steps = json!([
        { "id": "tell", "type": "transform", "config": { "value": "${waitToken('pay')}" }, "next": "pay" },
        { "id": "pay", "type": "wait", "config": { "token": {} } },
    ]);
    server.publish("w", steps).await;
    let id = server.begin("w", json!({})).await;
    let seen = server.until(&path(&id), "/status", "waiting").await;
    let token = seen["steps"][0]["output"].as_str().unwrap().to_owned();
    let why = server.get(&format!("{}/why", path(&id))).await.body;
    assert_eq!(why["reason"]["type"], "WAIT_EVENT");
    let call = format!("/api/tokens/{token}");
    server.post(&call, &json!([1])).await.is_problem(400, "REQUEST_INVALID");
    assert_eq!(server.post(&call, &json!({ "paid": true })).await.status, 202);
    let ended = server.until(&path(&id), "/status", "succeeded").await;
    assert_eq!(ended["output"], json!({ "paid": true }));
    server.post(&call, &json!({})).await.is_problem(409, "EXECUTION_ENDED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_starts_the_workflows_that_ask_for_it() {
    let server = Server::working().await;
    let definition = |version: &str, more: Value| {
        let mut definition = json!({ "name": "w", "inputSchema": { "required": ["sum"] }, "steps": [
            { "id": "t", "type": "transform", "config": { "value": { "v": version, "sum": "${input.sum}", "by": "${trigger.event.name}" } } }] });
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        definition
    };
    let first = definition("1", json!({ "trigger": { "type": "event", "event": "paid" } }));
    assert_eq!(server.post("/api/workflows", &first).await.status, 201);
    let second = definition(
        "2",
        json!({ "triggers": [{ "type": "event", "event": "paid",
        "match": "event.data.sum > 10", "input": { "sum": "${event.data.sum * 2}" } }] }),
    );
    assert_eq!(server.put("/api/workflows/w", &second).await.status, 200);
    event(&server, "paid", json!({ "sum": 5 })).await;
    event(&server, "paid", json!({ "sum": 50 })).await;
    let list = server.until("/api/executions?workflow=w", "/items/0/status", "succeeded").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "small ones do not count any more");
    let ended = server.get(&path(list["items"][0]["id"].as_str().unwrap())).await.body;
    assert_eq!(ended["output"], json!({ "v": "2", "sum": 100, "by": "paid" }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emitted_event_reaches_others_and_only_if_its_execution_got_so_far() {
    let server = Server::working().await;
    let matching = json!({ "event": { "name": "done", "match": "event.data.n == input.n" } });
    server.publish("waits", wait(&matching)).await;
    server.publish("emits", json!([{ "id": "e", "type": "emit", "config": { "event": "done", "data": { "n": "${input.n}" } } }])).await;
    let id = server.begin("waits", json!({ "input": { "n": 4 } })).await;
    server.until(&path(&id), "/status", "waiting").await;
    let ended = server.run("emits", json!({ "n": 4 })).await;
    assert_eq!(ended["output"]["name"], "done", "{ended}");
    let ended = server.until(&path(&id), "/status", "succeeded").await;
    assert_eq!(ended["output"], json!({ "n": 4 }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_wake_items_of_a_map_each_for_itself() {
    let server = Server::working().await;
    let steps = wait(
        &json!({ "event": { "name": "paid", "match": "event.data.order == item && event.data.by == input.by" } }),
    );
    server.publish("w", json!([{ "id": "m", "type": "map", "config": { "items": "${input.orders}", "steps": steps } }])).await;
    let id = server.begin("w", json!({ "input": { "orders": ["A", "B"], "by": "card" } })).await;
    let children = format!("{}/children", path(&id));
    server.until(&children, "/items/1/status", "waiting").await;
    server.until(&children, "/items/0/status", "waiting").await;
    event(&server, "paid", json!({ "order": "B", "by": "card" })).await;
    server.until(&children, "/items/1/status", "succeeded").await;
    event(&server, "paid", json!({ "order": "A", "by": "cash" })).await;
    event(&server, "paid", json!({ "order": "A", "by": "card" })).await;
    let ended = server.until(&path(&id), "/status", "succeeded").await;
    assert_eq!(ended["output"][0], json!({ "order": "A", "by": "card" }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_wait_begins_anew_when_it_is_retried() {
    let server = Server::working().await;
    server.publish("w", wait(&json!({ "event": { "name": "paid" } }))).await;
    let id = server.begin("w", json!({})).await;
    server.until(&path(&id), "/status", "waiting").await;
    server.post(&format!("{}/cancel", path(&id)), &json!({})).await;
    server.until(&path(&id), "/status", "cancelled").await;
    server.post(&format!("{}/retry", path(&id)), &json!({})).await;
    server.until(&path(&id), "/status", "waiting").await;
    event(&server, "paid", json!({ "n": 1 })).await;
    let ended = server.until(&path(&id), "/status", "succeeded").await;
    assert_eq!(ended["output"], json!({ "n": 1 }));
    server.stop().await;
}
