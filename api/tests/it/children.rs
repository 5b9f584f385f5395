//! Branches, items and called workflows, from outside.

use serde_json::{Value, json};

use crate::server::Server;
use crate::upstream::Upstream;

fn transform(id: &str, value: &str) -> Value {
    json!({ "id": id, "type": "transform", "config": { "value": value } })
}

fn map(config: &Value) -> Value {
    json!([{ "id": "each", "type": "map", "config": config }])
}

fn path(ended: &Value) -> String {
    format!("/api/executions/{}", ended["id"].as_str().unwrap())
}

/// Failure codes by index of a page of children.
fn seen(page: &Value) -> Vec<(u64, &str)> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| (it["index"].as_u64().unwrap(), it["status"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_nest_and_read_what_is_around_them() {
    let server = Server::working().await;
    let branch = |value: &str| json!({ "steps": [transform(&format!("s{}", value.len()), value)] });
    let fan = json!({ "id": "fan", "type": "parallel", "config": { "branches": {
        "sum": branch("${item + steps.base.output}"), "place": branch("${index}") } } });
    let steps = json!([
        { "id": "base", "type": "transform", "config": { "value": "${input.base}" }, "next": "each" },
        { "id": "each", "type": "map", "config": { "items": "${input.items}", "steps": [fan] } },
    ]);
    server.publish("w", steps).await;
    let ended = server.run("w", json!({ "base": 100, "items": [1, 2] })).await;
    let output = json!([{ "sum": 101, "place": 0 }, { "sum": 102, "place": 1 }]);
    assert_eq!(ended["output"], output, "{ended}");

    let execution = server.get(&path(&ended)).await.body;
    assert_eq!(execution["steps"][1]["children"], json!({ "total": 2, "ended": 2, "failed": 0 }));
    let page = server.get(&format!("{}/children", path(&ended))).await.body;
    assert_eq!(seen(&page), [(0, "succeeded"), (1, "succeeded")]);
    let item = server.get(&path(&page["items"][1])).await.body;
    assert_eq!(
        (&item["parentId"], &item["block"], &item["index"], &item["input"]),
        (&ended["id"], &json!("each"), &json!(1), &json!(2))
    );
    assert_eq!(item["steps"][0]["id"], "fan");
    // Parts are shown with their whole only.
    assert_eq!(server.get("/api/executions").await.body["items"].as_array().unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_items_run_a_few_at_a_time_and_are_listed_in_pages() {
    let server = Server::working().await;
    let steps = [
        json!({ "id": "even", "type": "switch", "config": {
        "cases": [{ "when": "item % 100 == 7", "next": "bad" }], "default": "good" } }),
        json!({ "id": "bad", "type": "fail", "config": { "message": "no ${item}" } }),
        transform("good", "${item * 2}"),
    ];
    server
        .publish(
            "w",
            map(&json!({ "items": "${input}", "steps": steps, "maxConcurrency": 7,
        "tolerateFailures": "1%" })),
        )
        .await;
    let items: Vec<_> = (0..1000).collect();
    let ended = server.run("w", json!(items)).await;
    let output = |n: i32| if n % 100 == 7 { json!(null) } else { json!(n * 2) };
    assert_eq!(ended["output"], items.into_iter().map(output).collect::<Value>());

    let list = format!("{}/children", path(&ended));
    let (mut cursor, mut all) = (String::new(), Vec::new());
    loop {
        let page = server.get(&format!("{list}?limit=300{cursor}")).await.body;
        all.extend(
            page["items"].as_array().unwrap().iter().map(|it| it["index"].as_i64().unwrap()),
        );
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(all, (0..1000).collect::<Vec<_>>());
    let failed = server.get(&format!("{list}?status=failed")).await.body;
    assert_eq!(seen(&failed).len(), 10);
    assert_eq!(failed["items"][0]["errorCode"], "STEP_FAILED");
    server.get(&format!("{list}?cursor=x")).await.is_problem(400, "REQUEST_INVALID");
    server.get(&format!("{list}?limit=501")).await.is_problem(400, "REQUEST_INVALID");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_failures_than_are_tolerated_stop_the_rest() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" } });
    server
        .publish("w", map(&json!({ "items": "${input}", "steps": [call], "maxConcurrency": 1 })))
        .await;
    let ended = server.run("w", json!([1, 2, 3, 4, 5])).await;
    assert_eq!(ended["error"]["code"], "CHILD_FAILED", "{ended}");
    assert_eq!(ended["error"]["details"]["failures"][0]["code"], "HTTP_STATUS");
    let list = format!("{}/children?status=cancelled", path(&ended));
    server.until(&list, "/items/3/status", "cancelled").await;
    assert_eq!(upstream.keys().len(), 1, "nobody else called");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_call_outside_under_keys_of_their_own() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    upstream.mend();
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" } });
    server.publish("w", map(&json!({ "items": [7, 8], "steps": [call] }))).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let id = ended["id"].as_str().unwrap();
    let mut keys = upstream.keys();
    keys.sort();
    assert_eq!(keys, [format!("{id}.call.0"), format!("{id}.call.1")]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_called_workflow_gives_its_output_or_its_failure() {
    let server = Server::working().await;
    let callee = json!({ "name": "callee", "inputSchema": { "required": ["n"] },
        "steps": [transform("t", "${10 / input.n}")] });
    assert_eq!(server.post("/api/workflows", &callee).await.status, 201);
    let call = |config: Value| json!([{ "id": "c", "type": "workflow", "config": config }]);
    server.publish("good", call(json!({ "workflow": "callee", "input": "${input}" }))).await;
    server.publish("gone", call(json!({ "workflow": "nobody" }))).await;
    server
        .publish("late", call(json!({ "workflow": "callee", "version": 9, "input": { "n": 1 } })))
        .await;

    let ended = server.run("good", json!({ "n": 5 })).await;
    assert_eq!(ended["output"], 2, "{ended}");
    let child = server.get(&format!("{}/children", path(&ended))).await.body["items"][0].clone();
    assert_eq!((&child["workflow"], &child["block"]), (&json!("callee"), &json!(null)));
    // It is an execution like any other.
    let listed = server.get("/api/executions?workflow=callee").await.body;
    assert_eq!(listed["items"][0]["id"], child["id"]);

    for (workflow, input, code, word) in [
        ("good", json!({ "n": 0 }), "CHILD_FAILED", "callee"),
        ("good", json!({ "m": 0 }), "INPUT_INVALID", "callee"),
        ("gone", json!({}), "CONFIG_INVALID", "there is no workflow `nobody`"),
        ("late", json!({}), "CONFIG_INVALID", "no version 9"),
    ] {
        let ended = server.run(workflow, input).await;
        assert_eq!(ended["error"]["code"], code, "{ended}");
        assert!(ended["error"]["message"].as_str().unwrap().contains(word), "{ended}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_calls_itself_for_ever_fails() {
    let server = Server::working().await;
    server
        .publish("w", json!([{ "id": "c", "type": "workflow", "config": { "workflow": "w" } }]))
        .await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["error"]["code"], "CHILD_FAILED", "{ended}");
    assert_eq!(
        server.get("/api/executions?limit=500").await.body["items"].as_array().unwrap().len(),
        33
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_detached_call() {
    let (server, upstream) = (Server::working().await, Upstream::slow().await);
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" } });
    server.publish("slow", json!([call])).await;
    server.publish("w", json!([{ "id": "c", "type": "workflow", "config": { "workflow": "slow", "wait": false } }])).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let child = format!("/api/executions/{}", ended["output"]["executionId"].as_str().unwrap());
    upstream.called().await;
    upstream.answer();
    server.until(&child, "/status", "succeeded").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_why_know_of_children() {
    let (server, upstream) = (Server::working().await, Upstream::slow().await);
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" } });
    server
        .publish(
            "w",
            map(&json!({ "items": [1, 2], "maxConcurrency": 1, "steps": [
        { "id": "first", "type": "log", "config": { "message": "m" }, "next": "call" }, call] })),
        )
        .await;
    let id = server.begin("w", json!({})).await;
    let parent = format!("/api/executions/{id}");
    upstream.called().await;
    let why = server.get(&format!("{parent}/why")).await.body;
    assert_eq!(
        (&why["reason"]["type"], &why["reason"]["total"], &why["reason"]["ended"]),
        (&json!("WAIT_CHILDREN"), &json!(2), &json!(0))
    );
    let page = server.get(&format!("{parent}/children")).await.body;
    let (one, two) = (path(&page["items"][0]), path(&page["items"][1]));
    let why = server.get(&format!("{two}/why")).await.body;
    assert_eq!(
        (&why["reason"]["type"], &why["reason"]["heldBy"]),
        (&json!("CONCURRENCY"), &json!(id))
    );

    assert_eq!(server.post(&format!("{parent}/pause"), &json!({})).await.status, 202);
    server.until(&parent, "/status", "paused").await;
    server.until(&two, "/status", "paused").await;
    upstream.answer();
    server.until(&one, "/status", "succeeded").await;
    assert_eq!(server.post(&format!("{parent}/resume"), &json!({})).await.status, 202);
    server.until(&parent, "/status", "succeeded").await;
    server.until(&two, "/status", "succeeded").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_reaches_the_children_under_way_and_those_that_wait() {
    let (server, upstream) = (Server::working().await, Upstream::slow().await);
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url } });
    let config = json!({ "items": [1, 2], "maxConcurrency": 1, "steps": [call] });
    server.publish("w", map(&config)).await;
    let parent = format!("/api/executions/{}", server.begin("w", json!({})).await);
    upstream.called().await;
    let page = server.get(&format!("{parent}/children")).await.body;
    let (one, two) = (path(&page["items"][0]), path(&page["items"][1]));
    assert_eq!(server.post(&format!("{parent}/cancel"), &json!({})).await.status, 202);
    server.until(&parent, "/status", "cancelled").await;
    server.until(&one, "/status", "cancelled").await;
    server.until(&two, "/status", "cancelled").await;
    server.post(&format!("{two}/retry"), &json!({})).await.is_problem(409, "EXECUTION_IS_A_BLOCK");
    server
        .post(&format!("{two}/fork"), &json!({ "fromStep": "call" }))
        .await
        .is_problem(409, "EXECUTION_IS_A_BLOCK");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_reaches_down() {
    let (server, upstream) = (Server::working().await, Upstream::slow().await);
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url } });
    server.publish("callee", json!([call])).await;
    let definition = json!({ "name": "w", "deadlineMs": 2_000, "steps": [
        { "id": "c", "type": "workflow", "config": { "workflow": "callee" } }] });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["error"]["code"], "DEADLINE_EXCEEDED", "{ended}");
    let page = server.get(&format!("{}/children", path(&ended))).await.body;
    let child = path(&page["items"][0]);
    let parent = server.get(&path(&ended)).await.body;
    assert_eq!(server.get(&child).await.body["deadlineAt"], parent["deadlineAt"]);
    server.until_ended(&child).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_map_is_repaired_at_its_step() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" }, "output": "${item}" });
    server.publish("w", map(&json!({ "items": [4, 5], "steps": [call] }))).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["status"], "failed");
    upstream.mend();
    assert_eq!(server.post(&format!("{}/retry-step", path(&ended)), &json!({})).await.status, 202);
    let seen = server.until(&path(&ended), "/status", "succeeded").await;
    assert_eq!(seen["output"], json!([4, 5]));
    let page = server.get(&format!("{}/children", path(&ended))).await.body;
    assert_eq!(page["items"].as_array().unwrap().len(), 4, "both rounds are on record");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_within_blocks_are_locked_like_any_others() {
    let server = Server::start().await;
    let steps = json!([{ "id": "p", "type": "acme/none" }]);
    let answer = server
        .post(
            "/api/workflows",
            &json!({ "name": "w", "steps": map(&json!({ "items": [], "steps": steps })) }),
        )
        .await;
    answer.is_problem(422, "DEFINITION_INVALID");
    assert_eq!(answer.faults(), [("UNKNOWN_STEP_TYPE", "/steps/0/config/steps/0/type")]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_see_the_constants_of_their_definition_and_called_workflows_their_own() {
    let server = Server::working().await;
    let publish = async |name: &str, vars: Value, steps: Value| {
        let definition = json!({ "name": name, "vars": vars, "steps": steps });
        let answer = server.post("/api/workflows", &definition).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    };
    publish("callee", json!({ "who": "callee" }), json!([transform("t", "${vars}")])).await;
    let branch = |step: Value| json!({ "steps": [step] });
    let call = json!({ "id": "c", "type": "workflow", "config": { "workflow": "callee" } });
    let fan = json!({ "id": "fan", "type": "parallel", "config": { "branches": {
        "own": branch(transform("o", "${vars.who} ${item}")), "called": branch(call) } } });
    let each = map(&json!({ "items": "${vars.list}", "steps": [fan] }));
    publish("w", json!({ "who": "caller", "list": [1, 2] }), each).await;
    let ended = server.run("w", json!({})).await;
    let item = |n: i32| json!({ "own": format!("caller {n}"), "called": { "who": "callee" } });
    assert_eq!(ended["output"], json!([item(1), item(2)]), "{ended}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn called_workflows_are_found_by_the_labels_of_who_calls_them_or_by_their_own() {
    let server = Server::working().await;
    server.publish("leaf", json!([transform("l", "1")])).await;
    let call = |id: &str, workflow: &str| json!({ "id": id, "type": "workflow", "config": { "workflow": workflow } });
    // From within a block, and over a workflow between.
    server.publish("middle", map(&json!({ "items": [1], "steps": [call("inner", "leaf")] }))).await;
    let mut first = call("first", "middle");
    first["next"] = json!("second");
    let mut second = call("second", "leaf");
    second["config"]["labels"] =
        json!({ "order": "${input.order}", "urgent": "${input.order > 1}" });
    server.publish("w", json!([first, second])).await;
    let request = json!({ "input": { "order": 7 }, "labels": { "team": "billing" } });
    let id = server.begin("w", request).await;
    server.until(&format!("/api/executions/{id}"), "/status", "succeeded").await;

    let found = async |label: &str| {
        let page = server.get(&format!("/api/executions?label={label}")).await.body;
        let items = page["items"].as_array().unwrap().iter();
        let mut names: Vec<_> =
            items.map(|it| it["workflow"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(found("team:billing").await, ["leaf", "middle", "w"]);
    assert_eq!(found("order:7").await, ["leaf"], "its own labels are all that it has");
    assert_eq!(found("urgent:true").await, ["leaf"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_cannot_be_fail_the_call() {
    let server = Server::working().await;
    server.publish("leaf", json!([transform("l", "1")])).await;
    let call = |labels: Value| json!([{ "id": "c", "type": "workflow", "config": { "workflow": "leaf", "labels": labels } }]);
    server.publish("w", call(json!({ "a": "${input}" }))).await;
    for (input, word) in
        [(json!([1]), "neither a text nor a number"), (json!("x".repeat(201)), "up to 200 bytes")]
    {
        let error = server.run("w", input).await["error"].clone();
        assert_eq!(error["code"], "CONFIG_INVALID", "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
    assert_eq!(server.run("w", json!("x".repeat(200))).await["status"], "succeeded");
    let many: serde_json::Map<_, _> = (0..33).map(|n| (n.to_string(), json!("x"))).collect();
    let definition = json!({ "name": "many", "steps": call(Value::Object(many)) });
    let refused = server.post("/api/workflows", &definition).await;
    assert_eq!(refused.faults(), [("CONFIG_INVALID", "/steps/0/config/labels")]);
    server.stop().await;
}
