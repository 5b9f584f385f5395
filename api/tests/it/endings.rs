//! Executions that end, well and badly, with a worker that drives them.

use serde_json::{Value, json};

use crate::guests::{babbling, endless, well_behaved};
use crate::server::Server;

/// A server with a workflow `guest`, whose one step is this plugin. Fuel is a minute of computing: the default would
/// end a loop within a second, which on a busy machine is before the call that cancels it.
async fn with_plugin(wasm: Vec<u8>) -> Server {
    let server = Server::working().await;
    assert_eq!(server.upload("?name=team/guest&version=1.0.0", wasm).await.status, 201);
    let limits = json!({ "fuel": 50_000_000_000_u64 });
    let step = json!({ "id": "a", "type": "team/guest@^1", "limits": limits, "config": {} });
    server.publish("guest", json!([step])).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_gets_the_result() {
    let server = with_plugin(well_behaved()).await;
    let ended = server.run("guest", json!(null)).await;
    assert_eq!((&ended["status"], &ended["output"]), (&json!("succeeded"), &json!("ok")));
    let id = ended["id"].as_str().unwrap();
    let seen = server.get(&format!("/api/executions/{id}")).await.body;
    assert_eq!(
        (&seen["steps"][0]["status"], &seen["steps"][0]["output"]),
        (&json!("succeeded"), &json!("ok"))
    );
    assert!(seen["startedAt"].as_str() <= seen["finishedAt"].as_str());
    let timeline = server.get(&format!("/api/executions/{id}/timeline")).await.body;
    assert_eq!((&timeline["items"][0]["attempt"], &timeline["late"]), (&json!(1), &json!([])));
    let why = server.get(&format!("/api/executions/{id}/why")).await.body;
    assert_eq!((&why["reason"], &why["message"]), (&Value::Null, &json!("it has succeeded")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_says_has_to_be_json() {
    let server = with_plugin(babbling()).await;
    let ended = server.run("guest", json!(null)).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("PLUGIN_ERROR"))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_fails_fails_its_step() {
    let server = Server::working().await;
    let step =
        json!({ "id": "a", "type": "log", "config": { "message": "${input.absent.deeper}" } });
    server.publish("w", json!([step])).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("EXPRESSION_ERROR"))
    );
    let listed = server.get("/api/executions?status=failed&error=EXPRESSION_ERROR").await.body;
    assert_eq!(listed["items"][0]["id"], ended["id"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_an_endless_loop_is_cancelled_and_the_end_is_final() {
    let server = with_plugin(endless()).await;
    let id = server.begin("guest", json!({})).await;
    let path = format!("/api/executions/{id}");
    server.until(&format!("{path}/why"), "/reason/type", "RUNNING").await;
    let accepted = server.post(&format!("{path}/cancel"), &json!({ "reason": "enough" })).await;
    assert_eq!(accepted.status, 202);
    let seen = server.until(&path, "/status", "cancelled").await;
    assert_eq!(
        (&seen["error"]["code"], &seen["error"]["message"]),
        (&json!("CANCELLED"), &json!("enough"))
    );
    server.post(&format!("{path}/cancel"), &json!({})).await.is_problem(409, "EXECUTION_ENDED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_execution_can_be_retried_and_a_good_one_cannot() {
    let server = Server::working().await;
    let config = json!({ "url": "http://127.0.0.1:1/", "timeoutMs": 1000 });
    let step = json!({ "id": "a", "type": "http", "config": { "url": config["url"] }, "retryPolicy": { "maxAttempts": 1 } });
    server.publish("w", json!([step])).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["error"]["code"], "HTTP_CONNECT");
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    assert_eq!(server.post(&format!("{path}/retry"), &json!({})).await.status, 202);
    // The second round's attempt has a number of its own.
    server.until(&format!("{path}/timeline"), "/items/1/status", "failed").await;
    server.until(&path, "/status", "failed").await;
    let timeline = server.get(&format!("{path}/timeline")).await.body;
    assert_eq!(timeline["items"][1]["attempt"], 2);

    server
        .publish("good", json!([{ "id": "a", "type": "log", "config": { "message": "hi" } }]))
        .await;
    let good = server.run("good", json!({})).await;
    let retry = format!("/api/executions/{}/retry", good["id"].as_str().unwrap());
    server.post(&retry, &json!({})).await.is_problem(409, "EXECUTION_NOT_FAILED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_in_order_and_followed_to_the_end() {
    let server = Server::working().await;
    let say = |id: &str, next: Option<&str>| {
        let mut step =
            json!({ "id": id, "type": "log", "config": { "message": id, "fields": { "n": 1 } } });
        if let Some(next) = next {
            step["next"] = json!(next);
        }
        step
    };
    server.publish("w", json!([say("one", Some("two")), say("two", None)])).await;
    let id = server.run("w", json!({})).await["id"].as_str().unwrap().to_owned();
    let page = server.get(&format!("/api/executions/{id}/logs")).await.body;
    let messages: Vec<_> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["message"].as_str().unwrap())
        .collect();
    assert_eq!(messages, ["one", "two"]);
    assert_eq!(
        (&page["items"][0]["fields"]["n"], &page["items"][0]["step"]),
        (&json!(1), &json!("one"))
    );
    let stream = server.text(&format!("/api/executions/{id}/logs?follow")).await;
    assert_eq!(stream.matches("event: log").count(), 2, "{stream}");
    let rest = server.get(&format!("/api/executions/{id}/logs?cursor=1.1")).await.body;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    server
        .get(&format!("/api/executions/{id}/logs?cursor=x"))
        .await
        .is_problem(400, "REQUEST_INVALID");
    server.stop().await;
}
