//! CloudEvents 1.0: structured, binary and in batches; what is wrong with one is said, and then nothing is sent.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, send};

const ONE: &str = "application/cloudevents+json";
const MANY: &str = "application/cloudevents-batch+json";

async fn post(server: &Server, kind: &str, body: &Value) -> Answer {
    let request = server.request(Method::POST, "/api/events").header("content-type", kind);
    send(request.body(body.to_string())).await
}

fn event(id: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/orders", "type": "order.paid",
        "datacontenttype": "application/json", "data": { "total": 42 } })
}

/// A workflow that an event starts, and that answers what the event says.
async fn listening(server: &Server) {
    let definition = json!({
        "name": "w", "output": "${input}",
        "steps": [{ "id": "a", "type": "log", "config": { "message": "hi" } }],
        "trigger": { "type": "event", "event": "order.paid" },
    });
    assert_eq!(server.post("/api/workflows", &definition).await.status, 201);
}

async fn outputs(server: &Server, count: usize) -> Vec<Value> {
    let nth = format!("/items/{}/status", count - 1);
    let page = server.until("/api/executions?status=succeeded", &nth, "succeeded").await;
    let mut outputs = Vec::new();
    for item in page["items"].as_array().unwrap() {
        let id = item["id"].as_str().unwrap();
        outputs.push(server.get(&format!("/api/executions/{id}")).await.body["output"].clone());
    }
    outputs
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_however_it_is_written() {
    let server = Server::working().await;
    listening(&server).await;
    let structured = post(&server, ONE, &event("1")).await;
    assert_eq!((structured.status, &structured.body["duplicate"]), (202, &json!(false)));
    let binary = server
        .request(Method::POST, "/api/events")
        .header("ce-specversion", "1.0")
        .header("ce-id", "1")
        .header("ce-source", "/orders")
        .header("ce-type", "order.paid")
        .header("content-type", "application/json")
        .body(r#"{"total":42}"#);
    let binary = send(binary).await;
    assert_eq!((binary.status, &binary.body["duplicate"]), (202, &json!(true)), "{binary:?}");
    assert_eq!(binary.body["id"], structured.body["id"]);

    let batch = post(&server, MANY, &json!([event("1"), event("2"), event("2")])).await;
    let told: Vec<_> =
        batch.body["items"].as_array().unwrap().iter().map(|it| &it["duplicate"]).collect();
    assert_eq!((batch.status, told), (202, vec![&json!(true), &json!(false), &json!(true)]));
    let outputs = outputs(&server, 2).await;
    assert_eq!(outputs.len(), 2);
    assert!(outputs.iter().all(|it| *it == json!({ "total": 42 })), "{outputs:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_not_json_comes_as_text_or_base64() {
    let server = Server::working().await;
    listening(&server).await;
    for (id, kind, body) in
        [("1", "text/plain", b"hello".as_slice()), ("2", "application/octet-stream", &[0xff, 0xfe])]
    {
        let request = server
            .request(Method::POST, "/api/events")
            .header("ce-specversion", "1.0")
            .header("ce-id", id)
            .header("ce-source", "/orders")
            .header("ce-type", "order.paid")
            .header("content-type", kind)
            .body(body.to_vec());
        assert_eq!(send(request).await.status, 202);
    }
    let mut outputs = outputs(&server, 2).await;
    outputs.sort_by_key(Value::to_string);
    assert_eq!(outputs, [json!("//4="), json!("hello")]);
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_said_and_nothing_is_sent() {
    let server = Server::start().await;
    let without = |field: &str| {
        let mut event = event("1");
        event.as_object_mut().unwrap().remove(field);
        event
    };
    for field in ["id", "source", "type", "specversion"] {
        let answer = post(&server, ONE, &without(field)).await;
        answer.is_problem(422, "CLOUD_EVENT_INVALID");
        assert!(
            answer.body["errors"][0]["message"].as_str().unwrap().contains(field),
            "{answer:?}"
        );
    }
    let mut empty = event("");
    post(&server, ONE, &empty).await.is_problem(422, "CLOUD_EVENT_INVALID");
    empty["id"] = json!("1");
    empty["type"] = json!("no name");
    post(&server, ONE, &empty).await.is_problem(422, "CLOUD_EVENT_INVALID");
    let batch = post(&server, MANY, &json!([event("1"), without("id"), without("type")])).await;
    batch.is_problem(422, "CLOUD_EVENT_INVALID");
    assert_eq!(batch.faults(), [("CLOUD_EVENT_INVALID", "/1"), ("CLOUD_EVENT_INVALID", "/2")]);
    post(&server, MANY, &json!({})).await.is_problem(400, "REQUEST_INVALID");
    post(&server, "application/cloudevents+xml", &event("1")).await.is_problem(415, "CONTENT_TYPE");
    post(&server, "application/x-www-form-urlencoded", &event("1"))
        .await
        .is_problem(415, "CONTENT_TYPE");
    let headless = server.request(Method::POST, "/api/events").header("ce-specversion", "1.0");
    send(headless.header("ce-id", "1")).await.is_problem(422, "CLOUD_EVENT_INVALID");
    assert_eq!(server.number("select count(*) from stateflow.messages").await, 0);

    let of =
        |count: usize| Value::from((0..count).map(|at| event(&at.to_string())).collect::<Vec<_>>());
    assert_eq!(post(&server, MANY, &of(1_000)).await.status, 202);
    post(&server, MANY, &of(1_001)).await.is_problem(413, "TOO_LARGE");
    assert_eq!(post(&server, MANY, &of(0)).await.body, json!({ "items": [] }));
    assert_eq!(server.number("select count(*) from stateflow.messages").await, 1_000);
    server.stop().await;
}
