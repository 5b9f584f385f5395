//! Dead letters: listed with their reasons, counted, run again, taken off the list.

use serde_json::json;

use crate::server::Server;
use crate::upstream::Upstream;

async fn failed(server: &Server, upstream: &Upstream, workflow: &str, count: usize) -> Vec<String> {
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" } });
    server.publish(workflow, json!([call])).await;
    let mut ids = Vec::new();
    for n in 0..count {
        let ended = server.run(workflow, json!({ "n": n })).await;
        assert_eq!(ended["status"], "failed");
        ids.push(ended["id"].as_str().unwrap().to_owned());
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_with_what_failed_and_why() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let ids = failed(&server, &upstream, "w", 3).await;
    failed(&server, &upstream, "v", 1).await;
    let page = server.get("/api/dlq?workflow=w&limit=2").await.body;
    let first = &page["items"][0];
    assert_eq!(
        (&first["id"], &first["step"], &first["error"]["code"], &first["workflow"]),
        (&json!(ids[2]), &json!("call"), &json!("HTTP_STATUS"), &json!("w"))
    );
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = server.get(&format!("/api/dlq?workflow=w&limit=2&cursor={cursor}")).await.body;
    assert_eq!((&rest["items"][0]["id"], &rest["nextCursor"]), (&json!(ids[0]), &json!(null)));
    assert_eq!(server.get("/api/dlq?error=TIMEOUT").await.body["items"], json!([]));
    server.get("/api/dlq?limit=0").await.is_problem(400, "REQUEST_INVALID");
    server.get("/api/dlq?workflow=absent").await.is_problem(404, "NOT_FOUND");

    let counted = server.get("/api/metrics/dlq").await.body;
    assert_eq!(counted["total"], 4);
    let kind = &counted["kinds"][0];
    assert_eq!(
        (&kind["workflow"], &kind["code"], &kind["executions"]),
        (&json!("w"), &json!("HTTP_STATUS"), &json!(3))
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_redriven_one_or_by_filter() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let ids = failed(&server, &upstream, "w", 3).await;
    let dry = server.post("/api/dlq/redrive", &json!({ "filter": {}, "dryRun": true })).await;
    assert_eq!((dry.status, &dry.body["matched"]), (200, &json!(3)));
    upstream.mend();
    let one = server.post("/api/dlq/redrive", &json!({ "ids": [ids[0]] })).await;
    assert_eq!(one.status, 202, "{one:?}");
    server.until(&format!("/api/executions/{}", ids[0]), "/status", "succeeded").await;
    let all = json!({ "filter": { "workflow": "w" }, "from": "start", "rate": 100 });
    let rest = server.post("/api/dlq/redrive", &all).await;
    assert_eq!((rest.status, &rest.body["matched"]), (202, &json!(2)));
    server.until("/api/executions?status=succeeded", "/items/2/status", "succeeded").await;
    assert_eq!(server.get("/api/dlq").await.body["items"], json!([]));

    let nothing = server.post("/api/dlq/redrive", &json!({ "filter": {} })).await;
    assert_eq!((nothing.status, &nothing.body["matched"]), (202, &json!(0)));
    for bad in [json!({}), json!({ "ids": [], "filter": {} }), json!({ "filter": {}, "rate": 0 })] {
        server.post("/api/dlq/redrive", &bad).await.is_problem(400, "REQUEST_INVALID");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_dead_letters_stay_in_the_history_and_on_record() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    let ids = failed(&server, &upstream, "w", 2).await;
    let dry = json!({ "filter": {}, "dryRun": true, "by": "ada" });
    assert_eq!(
        server.post("/api/dlq/purge", &dry).await.body,
        json!({ "dryRun": true, "purged": 2 })
    );
    let purge = json!({ "ids": [ids[0]], "by": "ada", "reason": "a test" });
    assert_eq!(
        server.post("/api/dlq/purge", &purge).await.body,
        json!({ "dryRun": false, "purged": 1 })
    );
    assert_eq!(server.post("/api/dlq/purge", &purge).await.body["purged"], 0, "it is gone already");
    let left = server.get("/api/dlq").await.body;
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    let kept = server.get(&format!("/api/executions/{}", ids[0])).await.body;
    assert_eq!((&kept["status"], &kept["deadLetter"]), (&json!("failed"), &json!(false)));
    let entry = &server.get("/api/audit").await.body["items"][1];
    assert_eq!(
        (&entry["actor"], &entry["action"], &entry["detail"]["reason"]),
        (&json!("ada"), &json!("dead-letters.purge"), &json!("a test"))
    );
    for bad in [json!({ "filter": {} }), json!({ "filter": {}, "by": "" }), json!({ "by": "ada" })]
    {
        server.post("/api/dlq/purge", &bad).await.is_problem(400, "REQUEST_INVALID");
    }
    server.stop().await;
}
