//! Live versions, ramps, differences and moving executions, from outside.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, send};

fn definition(value: u32, more: &Value) -> Value {
    let mut definition = json!({ "name": "w", "steps": [{ "id": "t", "type": "transform", "config": { "value": value } }] });
    definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition
}

async fn two_versions(server: &Server, first: &Value, second: &Value) {
    assert_eq!(server.post("/api/workflows", first).await.status, 201);
    assert_eq!(server.put("/api/workflows/w", second).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_version_runs_and_a_part_runs_the_ramp() {
    let server = Server::working().await;
    two_versions(&server, &definition(1, &json!({})), &definition(2, &json!({}))).await;
    let live = "/api/workflows/w/live";
    assert_eq!(server.run("w", json!({})).await["output"], 2, "the newest, if nothing is said");
    assert_eq!(server.put(live, &json!({ "version": 1 })).await.status, 200);
    assert_eq!(server.run("w", json!({})).await["output"], 1);
    assert_eq!(server.put("/api/workflows/w", &definition(3, &json!({}))).await.status, 200);
    assert_eq!(server.run("w", json!({})).await["output"], 1, "publishing does not make live");
    let ramp = |percent: i32| json!({ "version": 1, "ramp": { "version": 3, "percent": percent } });
    assert_eq!(server.put(live, &ramp(100)).await.status, 200);
    assert_eq!(server.run("w", json!({})).await["output"], 3);
    assert_eq!(server.put(live, &ramp(50)).await.status, 200);
    let mut seen = [0; 4];
    for _ in 0..40 {
        seen[usize::try_from(server.run("w", json!({})).await["output"].as_u64().unwrap())
            .unwrap()] += 1;
    }
    assert!(seen[1] > 5 && seen[3] > 5 && seen[2] == 0, "{seen:?}");
    server.put(live, &ramp(101)).await.is_problem(400, "REQUEST_INVALID");
    server.put(live, &json!({ "version": 9 })).await.is_problem(404, "NOT_FOUND");
    assert_eq!(server.put(live, &json!({})).await.status, 200);
    assert_eq!(server.run("w", json!({})).await["output"], 3);
    server.stop().await;
}

#[tokio::test]
async fn two_versions_are_compared_step_by_step() {
    let server = Server::start().await;
    let mut second = definition(2, &json!({ "deadlineMs": 5 }));
    second["steps"][0]["next"] = json!("n");
    second["steps"].as_array_mut().unwrap().push(json!({ "id": "n", "type": "succeed" }));
    two_versions(&server, &definition(1, &json!({})), &second).await;
    let diff = server.get("/api/workflows/w/diff?from=1&to=2").await.body;
    assert_eq!(diff["steps"]["added"], json!(["n"]));
    let changes = &diff["steps"]["changed"][0];
    assert_eq!(changes["id"], "t");
    assert!(
        changes["changes"]
            .as_array()
            .unwrap()
            .contains(&json!({ "op": "replace", "path": "/config/value", "value": 2 })),
        "{changes}"
    );
    assert_eq!(diff["other"], json!([{ "op": "add", "path": "/deadlineMs", "value": 5 }]));
    let back = server.get("/api/workflows/w/diff?from=2&to=1").await.body;
    assert_eq!(back["steps"]["removed"], json!(["n"]));
    server.get("/api/workflows/w/diff?from=1&to=9").await.is_problem(404, "NOT_FOUND");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_move_where_it_is_safe_and_stay_with_a_reason_where_not() {
    let server = Server::working().await;
    let wait = json!({ "id": "wait", "type": "wait", "config": { "event": { "name": "go" } }, "next": "t" });
    let steps = |value: u32, wait: &Value| json!({ "name": "w", "steps": [wait, { "id": "t", "type": "transform", "config": { "value": value } }] });
    two_versions(&server, &steps(1, &wait), &steps(2, &wait)).await;
    let mut other = wait.clone();
    other["config"]["event"]["name"] = json!("went");
    assert_eq!(server.put("/api/workflows/w", &steps(3, &other)).await.status, 200);
    let id = server.begin("w", json!({ "version": 1 })).await;
    let path = format!("/api/executions/{id}");
    server.until(&path, "/status", "waiting").await;
    // The worker may look back for a moment.
    server.until(&format!("{path}/why"), "/reason/type", "WAIT_EVENT").await;

    let migrate = "/api/workflows/w/migrate-executions";
    let refused = server.post(migrate, &json!({ "from": 1, "to": 3 })).await.body;
    assert_eq!((&refused["moved"], &refused["stay"]), (&json!(0), &json!(1)));
    assert!(
        refused["staying"][0]["obstacles"][0].as_str().unwrap().contains("waits at step `wait`"),
        "{refused}"
    );
    let dry = server.post(migrate, &json!({ "from": 1, "to": 2, "dryRun": true })).await.body;
    assert_eq!((&dry["moved"], &dry["dryRun"]), (&json!(1), &json!(true)));
    assert_eq!(server.get(&path).await.body["version"], 1);
    let mut moved = json!(0);
    while moved == json!(0) {
        moved = server.post(migrate, &json!({ "from": 1, "to": 2 })).await.body["moved"].clone();
    }
    assert_eq!(server.post("/api/events", &json!({ "event": "go" })).await.status, 202);
    let ended = server.until(&path, "/status", "succeeded").await;
    assert_eq!((&ended["version"], &ended["output"]), (&json!(2), &json!(2)));
    server.post(migrate, &json!({ "from": 1, "to": 9 })).await.is_problem(404, "NOT_FOUND");
    server.stop().await;
}

async fn conditional(server: &Server, if_match: &str, definition: &Value) -> Answer {
    let request = server.request(Method::PUT, "/api/workflows/w").header("If-Match", if_match);
    send(request.json(definition)).await
}

#[tokio::test]
async fn a_version_is_published_on_condition_that_nobody_else_has() {
    let server = Server::start().await;
    let definition = |message: &str| {
        let step = json!({ "id": "a", "type": "log", "config": { "message": message } });
        json!({ "name": "w", "steps": [step] })
    };
    assert_eq!(server.post("/api/workflows", &definition("one")).await.status, 201);
    let read = server.request(Method::GET, "/api/workflows/w").send().await.unwrap();
    let tag = read.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(tag, "\"1\"");
    let known = server.request(Method::GET, "/api/workflows/w").header("If-None-Match", &tag);
    let known = known.send().await.unwrap();
    assert_eq!(
        (known.status().as_u16(), known.headers()["etag"].to_str().unwrap()),
        (304, "\"1\"")
    );
    assert_eq!(known.text().await.unwrap(), "");

    assert_eq!(conditional(&server, &tag, &definition("two")).await.body["version"], 2);
    let late = conditional(&server, &tag, &definition("three")).await;
    late.is_problem(412, "PRECONDITION_FAILED").says("version 2");
    conditional(&server, "two", &definition("three")).await.is_problem(412, "PRECONDITION_FAILED");
    assert_eq!(conditional(&server, "*", &definition("three")).await.body["version"], 3);

    let page = server.get("/api/workflows/w/versions?limit=2").await.body;
    let numbers = |page: &Value| -> Vec<i64> {
        page["items"].as_array().unwrap().iter().map(|it| it["version"].as_i64().unwrap()).collect()
    };
    assert_eq!((numbers(&page), &page["nextCursor"]), (vec![3, 2], &json!(2)));
    let rest = server.get("/api/workflows/w/versions?limit=2&cursor=2").await.body;
    assert_eq!((numbers(&rest), &rest["nextCursor"]), (vec![1], &json!(null)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_workflow_starts_nothing_and_frees_its_name() {
    let server = Server::working().await;
    let steps = json!([{ "id": "a", "type": "wait", "config": { "event": { "name": "go" } } }]);
    let definition =
        json!({ "name": "w", "steps": steps, "trigger": { "type": "event", "event": "start" } });
    let workflow = server.post("/api/workflows", &definition).await.body;
    let id = workflow["id"].as_str().unwrap();
    let execution = server.begin("w", json!({})).await;
    let path = format!("/api/executions/{execution}");
    server.until(&path, "/status", "waiting").await;
    let gone = send(server.request(Method::DELETE, "/api/workflows/w?by=ada")).await;
    assert_eq!(gone.status, 204);
    server.post("/api/workflows/w/execute", &json!({})).await.is_problem(404, "NOT_FOUND");
    server.get("/api/workflows/w").await.is_problem(404, "NOT_FOUND");
    send(server.request(Method::DELETE, "/api/workflows/w")).await.is_problem(404, "NOT_FOUND");
    let entry = &server.get("/api/audit").await.body["items"][0];
    assert_eq!((&entry["actor"], &entry["action"]), (&json!("ada"), &json!("workflow.archive")));

    // What is under way goes on, and an event starts nothing new.
    for event in ["start", "go"] {
        assert_eq!(server.post("/api/events", &json!({ "event": event })).await.status, 202);
    }
    server.until(&path, "/status", "succeeded").await;
    let of_it = server.get(&format!("/api/executions?workflow={id}")).await.body;
    assert_eq!(of_it["items"].as_array().unwrap().len(), 1, "{of_it}");
    let again = server.post("/api/workflows", &definition).await;
    assert_eq!((again.status, &again.body["version"]), (201, &json!(1)));
    assert_ne!(again.body["id"], id);
    server.stop().await;
}
