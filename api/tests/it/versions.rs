//! Live versions, ramps, differences and moving executions, from outside.

use serde_json::{Value, json};

use crate::server::Server;

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
