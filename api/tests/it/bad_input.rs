//! What people get wrong in flows, from outside: each ends with a code and a message, or is refused with a place.

use serde_json::{Value, json};

use crate::server::Server;

fn transform(id: &str, value: &Value) -> Value {
    json!({ "id": id, "type": "transform", "config": { "value": value } })
}

fn map(items: &str) -> Value {
    let config = json!({ "items": items, "collect": false, "steps": [transform("t", &json!(1))] });
    json!({ "id": "s", "type": "map", "config": config })
}

fn switch(when: &str) -> Value {
    let config = json!({ "cases": [{ "when": when, "next": "after" }] });
    json!({ "id": "s", "type": "switch", "config": config })
}

/// Runs one step, and asserts how the execution fails at it.
async fn fails(server: &Server, name: &str, steps: Value, input: Value, code: &str, says: &str) {
    server.publish(name, steps).await;
    let ended = server.run(name, input).await;
    assert_eq!((&ended["status"], &ended["error"]["code"]), (&json!("failed"), &json!(code)));
    assert!(ended["error"]["message"].as_str().unwrap().contains(says), "{name}: {ended}");
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    let seen = server.get(&path).await.body;
    assert_eq!(seen["deadLetter"], true, "nothing is lost: {seen}");
    let timeline = server.get(&format!("{path}/timeline")).await.body;
    let last = timeline["items"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["step"], &last["error"]["code"]), (&json!("s"), &json!(code)), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_the_wrong_kind_fail_their_step_and_say_what_they_are() {
    let server = Server::working().await;
    let after = transform("after", &json!(1));
    let wait = |config: Value| json!([{ "id": "s", "type": "wait", "config": config }]);
    let too_many: Vec<_> = (0..10_001).collect();
    for (name, steps, input, code, says) in [
        (
            "no-list",
            json!([map("${input}")]),
            json!("abc"),
            "CONFIG_INVALID",
            "a string, not a list",
        ),
        (
            "too-many",
            json!([map("${input}")]),
            json!(too_many),
            "CONFIG_INVALID",
            "10001 items, the limit is 10000",
        ),
        (
            "no-case",
            json!([switch("false"), after]),
            json!({}),
            "CONFIG_INVALID",
            "no case of the switch is true, and it has no `default`",
        ),
        (
            "no-truth",
            json!([switch("input.n"), after]),
            json!({ "n": 5 }),
            "EXPRESSION_ERROR",
            "not true or false",
        ),
        (
            "no-time",
            wait(json!({ "durationMs": "${input}" })),
            json!("soon"),
            "CONFIG_INVALID",
            "durationMs",
        ),
        (
            "no-instant",
            wait(json!({ "until": "${input}" })),
            json!("tomorrow"),
            "CONFIG_INVALID",
            "until",
        ),
    ] {
        fails(&server, name, steps, input, code, says).await;
    }
    let most: Vec<_> = (0..10_000).collect();
    let ended = server.run("too-many", json!(most)).await;
    assert_eq!(ended["output"], json!({ "total": 10_000, "succeeded": 10_000, "failed": 0 }));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_cannot_be_fail_and_say_why() {
    let server = Server::working().await;
    let call = |workflow: &str| json!([{ "id": "s", "type": "workflow", "config": { "workflow": workflow } }]);
    fails(
        &server,
        "lost",
        call("nobody"),
        json!({}),
        "CONFIG_INVALID",
        "there is no workflow `nobody`",
    )
    .await;
    fails(&server, "endless", call("endless"), json!({}), "CHILD_FAILED", "endless").await;
    // The innermost of them says what the matter is.
    let deepest = server.get("/api/executions?workflow=endless&limit=1").await.body;
    let path = format!("/api/executions/{}", deepest["items"][0]["id"].as_str().unwrap());
    let error = server.get(&path).await.body["error"].clone();
    assert_eq!(error["code"], "CONFIG_INVALID");
    assert!(
        error["message"].as_str().unwrap().contains("does one call itself for ever?"),
        "{error}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_of_five_megabytes_fail_their_step() {
    let server = Server::working().await;
    let branch = |at: usize| {
        let value = json!("${input}");
        (format!("b{at}"), json!({ "steps": [transform(&format!("t{at}"), &value)] }))
    };
    let branches: serde_json::Map<_, _> = (0..5).map(branch).collect();
    let steps = json!([{ "id": "s", "type": "parallel", "config": { "branches": branches } }]);
    let input = json!("x".repeat(1_000_000));
    fails(
        &server,
        "large",
        steps,
        input,
        "OUTPUT_TOO_LARGE",
        "5000010 bytes together, the limit is 1048576",
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_too_late_or_is_not_meant_is_told_so() {
    let server = Server::working().await;
    server.publish("quick", json!([transform("t", &json!(1))])).await;
    let ended = server.run("quick", json!({})).await;
    let signal = format!("/api/executions/{}/signal", ended["id"].as_str().unwrap());
    let late = server.post(&signal, &json!({ "name": "go" })).await;
    late.is_problem(409, "EXECUTION_ENDED").says("has already succeeded");

    let ask = json!([{ "id": "ask", "type": "approval", "config": { "approvers": ["ann"] } }]);
    server.publish("ask", ask).await;
    let id = server.begin("ask", json!({})).await;
    server.until(&format!("/api/executions/{id}/why"), "/reason/type", "WAIT_APPROVAL").await;
    let decide = format!("/api/approvals/{id}/decide");
    let stranger = server.post(&decide, &json!({ "by": "eve", "approved": true })).await;
    stranger.is_problem(403, "NOT_ASKED").says("`eve` is not asked; asked are ann");
    assert_eq!(server.get(&format!("/api/executions/{id}")).await.body["status"], "waiting");
    server.stop().await;
}

#[tokio::test]
async fn definitions_that_nest_too_deeply_are_refused_with_the_place() {
    let server = Server::start().await;
    let nested = |name: &str, depth: usize| {
        let mut step = transform("t", &json!(1));
        for at in 0..depth {
            let config = json!({ "items": [1], "steps": [step] });
            step = json!({ "id": format!("m{at}"), "type": "map", "config": config });
        }
        json!({ "name": name, "steps": [step] })
    };
    assert_eq!(server.post("/api/workflows", &nested("most", 8)).await.status, 201);
    let refused = server.post("/api/workflows", &nested("more", 9)).await;
    refused.is_problem(422, "DEFINITION_INVALID");
    let place = "/steps/0/config".repeat(9);
    assert_eq!(refused.faults(), [("NESTED_TOO_DEEPLY", place.as_str())]);
    assert_eq!(refused.body["errors"][0]["message"], "blocks nest more than 8 deep here");
    server.stop().await;
}
