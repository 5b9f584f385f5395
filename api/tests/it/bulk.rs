//! Actions on many executions, dead letters and incidents, from outside.

use serde_json::{Value, json};

use crate::server::Server;
use crate::upstream::Upstream;

async fn failed(server: &Server, upstream: &Upstream, count: usize) {
    let call = json!({ "id": "call", "type": "http", "config": { "url": upstream.url, "method": "POST" } });
    server.publish("w", json!([call])).await;
    for n in 0..count {
        assert_eq!(server.run("w", json!({ "n": n })).await["status"], "failed");
    }
}

async fn bulk(server: &Server, body: Value) -> String {
    let answer = server.post("/api/executions/bulk", &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    format!("/api/executions/bulk/{}", answer.body["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_failed_are_retried_by_filter() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    failed(&server, &upstream, 3).await;
    let filter = json!({ "workflow": "w", "status": "failed", "deadLetter": true });
    let dry = json!({ "action": "retry", "filter": filter, "dryRun": true });
    let answer = server.post("/api/executions/bulk", &dry).await;
    assert_eq!((answer.status, &answer.body["matched"]), (200, &json!(3)));
    assert_eq!(answer.body["sample"].as_array().unwrap().len(), 3);
    assert_eq!(upstream.keys().len(), 3, "nothing was done");
    upstream.mend();
    let path = bulk(&server, json!({ "action": "retry", "filter": filter })).await;
    let done = server.until(&path, "/status", "done").await;
    assert_eq!((&done["matched"], &done["acted"]), (&json!(3), &json!(3)));
    server.until("/api/executions?status=succeeded", "/items/2/status", "succeeded").await;
    assert_eq!(server.get("/api/executions?deadLetter=true").await.body["items"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_ones_tell_whether_the_others_follow() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    failed(&server, &upstream, 5).await;
    let request = json!({ "action": "retry-step", "filter": { "status": "failed" }, "canary": 2, "stopAbove": 0.5 });
    let path = bulk(&server, request.clone()).await;
    let stopped = server.until(&path, "/status", "stopped").await;
    assert_eq!((&stopped["acted"], &stopped["failed"]), (&json!(2), &json!(2)));
    assert_eq!(stopped["message"], "2 of 2 have failed");
    assert_eq!(upstream.keys().len(), 7);
    upstream.mend();
    let path = bulk(&server, request).await;
    let done = server.until(&path, "/status", "done").await;
    assert_eq!(done["acted"], 5);
    server.until("/api/executions?status=succeeded", "/items/4/status", "succeeded").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept() {
    let server = Server::working().await;
    server
        .publish(
            "w",
            json!([{ "id": "wait", "type": "wait", "config": { "durationMs": 600_000 } }]),
        )
        .await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(server.begin("w", json!({})).await);
    }
    let path = bulk(&server, json!({ "action": "cancel", "ids": ids, "rate": 4 })).await;
    let done = server.until(&path, "/status", "done").await;
    let instant = |field: &str| {
        done[field].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap()
    };
    let took = instant("finishedAt") - instant("createdAt");
    assert!(took >= chrono::TimeDelta::milliseconds(1_400), "{took}: faster than four a second");
    server.until("/api/executions?status=cancelled", "/items/5/status", "cancelled").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused() {
    let server = Server::start().await;
    for body in [
        json!({ "action": "retry" }),
        json!({ "action": "retry", "ids": [], "filter": {} }),
        json!({ "action": "explode", "ids": [] }),
        json!({ "action": "retry", "ids": [], "rate": 0 }),
        json!({ "action": "retry", "ids": [], "stopAbove": 1.1 }),
        json!({ "action": "retry", "filter": { "limit": 5 } }),
        json!({ "action": "retry", "ids": [], "fromStep": "call" }),
        json!({ "action": "cancel", "ids": [], "version": 2 }),
        json!({ "action": "fork", "ids": [], "inputPatch": {}, "from": "call" }),
        json!({ "action": "retry", "filter": { "colour": "red" } }),
    ] {
        server.post("/api/executions/bulk", &body).await.is_problem(400, "REQUEST_INVALID");
    }
    let unknown = json!({ "action": "retry", "filter": { "workflow": "unknown" } });
    server.post("/api/executions/bulk", &unknown).await.is_problem(404, "NOT_FOUND");
    let ids: Vec<_> =
        (0..100_001_u128).map(|n| format!("00000000-0000-7000-8000-{n:012}")).collect();
    let dry = |ids: &[String]| json!({ "action": "retry", "ids": ids, "dryRun": true });
    let most = server.post("/api/executions/bulk", &dry(&ids[1..])).await;
    assert_eq!((most.status, &most.body["matched"]), (200, &json!(100_000)));
    let more = server.post("/api/executions/bulk", &dry(&ids)).await;
    more.is_problem(422, "TOO_MANY_MATCHED");
    server.get("/api/executions/bulk/x").await.is_problem(404, "NOT_FOUND");
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_matched_is_done_at_once() {
    let server = Server::working().await;
    let path = bulk(&server, json!({ "action": "retry", "filter": { "status": "failed" } })).await;
    let done = server.until(&path, "/status", "done").await;
    assert_eq!(done["matched"], 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_grouped_by_kind_and_kept_unless_their_author_does_not_care() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    failed(&server, &upstream, 2).await;
    let mut quiet = json!({ "id": "q", "type": "http", "config": { "url": upstream.url } });
    quiet["retryPolicy"] = json!({ "onExhausted": "fail" });
    server.publish("quiet", json!([quiet])).await;
    let ended = server.run("quiet", json!({})).await;
    let execution =
        server.get(&format!("/api/executions/{}", ended["id"].as_str().unwrap())).await.body;
    assert_eq!(execution["deadLetter"], false);
    let dead = server.get("/api/executions?deadLetter=true").await.body;
    assert_eq!(dead["items"].as_array().unwrap().len(), 2);
    let incidents = server.get("/api/incidents").await.body;
    let first = &incidents["items"][0];
    assert_eq!(
        (&first["workflow"], &first["step"], &first["code"], &first["executions"]),
        (&json!("w"), &json!("call"), &json!("HTTP_STATUS"), &json!(2))
    );
    assert_eq!(incidents["items"][1]["workflow"], "quiet");
    assert_eq!((&incidents["lookedAt"], &incidents["more"]), (&json!(3), &json!(false)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_forked_once_each_and_what_cannot_be_is_counted() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    failed(&server, &upstream, 3).await;
    server
        .publish("other", json!([{ "id": "fail", "type": "fail", "config": { "message": "no" } }]))
        .await;
    assert_eq!(server.run("other", json!({})).await["status"], "failed");
    upstream.mend();
    let fork = json!({ "action": "fork", "filter": { "status": "failed" }, "fromStep": "call",
        "inputPatch": { "n": 10 } });
    let mut dry = fork.clone();
    dry["dryRun"] = json!(true);
    assert_eq!(server.post("/api/executions/bulk", &dry).await.body["matched"], 4);

    let path = bulk(&server, fork).await;
    let done = server.until(&path, "/status", "done").await;
    assert_eq!((&done["acted"], &done["failed"]), (&json!(4), &json!(1)), "{done}");
    let message = done["message"].as_str().unwrap();
    assert_eq!(message, "1 could not be forked, the first because version 1 has no step `call`");
    let forks: Vec<_> =
        done["forks"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(forks.len(), 3);
    let mut of = Vec::new();
    for id in forks {
        let fork = server.until(&format!("/api/executions/{id}"), "/status", "succeeded").await;
        assert_eq!(fork["input"], json!({ "n": 10 }));
        of.push(fork["forkedFrom"].as_str().unwrap().to_owned());
    }
    of.sort();
    of.dedup();
    assert_eq!(of.len(), 3, "each once");
    let all = server.get("/api/executions?workflow=w").await.body;
    assert_eq!(all["items"].as_array().unwrap().len(), 6);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_forks_tell_whether_the_others_follow() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    failed(&server, &upstream, 5).await;
    let fork = json!({ "action": "fork", "filter": { "workflow": "w", "status": "failed" }, "canary": 2,
        "stopAbove": 0.5 });
    let path = bulk(&server, fork.clone()).await;
    let stopped = server.until(&path, "/status", "stopped").await;
    assert_eq!((&stopped["acted"], &stopped["failed"]), (&json!(2), &json!(2)));
    assert_eq!(upstream.keys().len(), 7, "forks begin at the start, and two of them were made");
    // What cannot be forked counts as failed, or the first ones would never have ended.
    let mut nowhere = fork.clone();
    nowhere["fromStep"] = json!("nowhere");
    let path = bulk(&server, nowhere).await;
    let stopped = server.until(&path, "/status", "stopped").await;
    assert_eq!(stopped["message"], "2 of 2 have failed");
    upstream.mend();
    let path = bulk(&server, fork).await;
    let done = server.until(&path, "/status", "done").await;
    assert_eq!((&done["acted"], &done["failed"]), (&json!(7), &json!(0)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_ones_of_a_pause_have_done_well_when_they_rest() {
    let (server, upstream) = (Server::working().await, Upstream::slow().await);
    let wait = json!({ "id": "wait", "type": "wait", "config": { "durationMs": 600_000 } });
    server.publish("waits", json!([wait])).await;
    let call =
        json!({ "id": "call", "type": "http", "config": { "url": upstream.url }, "next": "wait" });
    server.publish("calls", json!([call, wait])).await;
    let path = |id: &str| format!("/api/executions/{id}");
    let first = server.begin("calls", json!({})).await;
    upstream.called().await;
    let mut ids = vec![first];
    for _ in 0..2 {
        let id = server.begin("waits", json!({})).await;
        server.until(&path(&id), "/status", "waiting").await;
        ids.push(id);
    }
    let request = json!({ "action": "pause", "ids": ids, "canary": 1, "stopAbove": 0 });
    let action = bulk(&server, request).await;
    // It has been told, and rests only when its attempt has ended.
    while server.get(&action).await.body["acted"] == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.get(&path(&ids[1])).await.body["status"], "waiting");
    upstream.answer();
    let done = server.until(&action, "/status", "done").await;
    assert_eq!((&done["acted"], &done["failed"]), (&json!(3), &json!(0)));
    for id in &ids {
        server.until(&path(id), "/status", "paused").await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_ones_that_had_ended_before_hold_up_no_pause_and_no_cancellation() {
    let server = Server::working().await;
    server
        .publish("ends", json!([{ "id": "fail", "type": "fail", "config": { "message": "no" } }]))
        .await;
    let wait = json!({ "id": "wait", "type": "wait", "config": { "durationMs": 600_000 } });
    server.publish("waits", json!([wait])).await;
    let ended = server.run("ends", json!({})).await["id"].as_str().unwrap().to_owned();
    let waits = server.begin("waits", json!({})).await;
    for (action, status) in [("pause", "paused"), ("cancel", "cancelled")] {
        // It has failed, but not because of this.
        let request =
            json!({ "action": action, "ids": [ended, waits], "canary": 1, "stopAbove": 0 });
        let done = server.until(&bulk(&server, request).await, "/status", "done").await;
        assert_eq!((&done["acted"], &done["failed"]), (&json!(2), &json!(0)), "{action}");
        server.until(&format!("/api/executions/{waits}"), "/status", status).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_for_which_it_makes_no_sense_are_skipped_and_it_says_why() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    failed(&server, &upstream, 1).await;
    let broken = server.get("/api/executions?status=failed").await.body["items"][0]["id"].clone();
    upstream.mend();
    let well = server.run("w", json!({})).await["id"].clone();
    let nobody = "01890000-0000-7000-8000-000000000000";
    let calls = upstream.keys().len();

    let request = json!({ "action": "retry", "ids": [well, broken, nobody] });
    let path = bulk(&server, request).await;
    let done = server.until(&path, "/status", "done").await;
    let counts = ["matched", "acted", "skipped", "failed"].map(|it| done[it].as_i64().unwrap());
    assert_eq!(counts, [3, 3, 2, 0], "{done}");
    let why = "is succeeded: only what has failed or was cancelled can be retried";
    let first = format!("2 skipped, the first because execution {} {why}", well.as_str().unwrap());
    assert_eq!(done["message"], first);
    let broken = broken.as_str().unwrap();
    server.until(&format!("/api/executions/{broken}"), "/status", "succeeded").await;
    assert_eq!(upstream.keys().len(), calls + 1, "what had succeeded was left alone");
    assert_eq!(server.number("select count(*) from queue").await, 0, "and was never due again");
    assert_eq!(server.number("select count(*) from inbox").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_skipped_is_none_of_the_first_ones() {
    let (server, upstream) = (Server::working().await, Upstream::broken().await);
    failed(&server, &upstream, 2).await;
    let list = server.get("/api/executions?status=failed").await.body;
    let broken = ["/items/0/id", "/items/1/id"].map(|it| list.pointer(it).unwrap().clone());
    upstream.mend();
    let well = server.run("w", json!({})).await["id"].clone();
    upstream.spoil();
    let request = json!({ "action": "retry", "ids": [well, well, broken[0], broken[1]], "canary": 1, "stopAbove": 0 });
    let stopped = server.until(&bulk(&server, request.clone()).await, "/status", "stopped").await;
    let counts = ["acted", "skipped", "failed"].map(|it| stopped[it].as_i64().unwrap());
    assert_eq!((counts, &stopped["message"]), ([3, 2, 1], &json!("1 of 1 have failed")));

    upstream.mend();
    let done = server.until(&bulk(&server, request).await, "/status", "done").await;
    let counts = ["acted", "skipped", "failed"].map(|it| done[it].as_i64().unwrap());
    assert_eq!(counts, [4, 2, 0], "{done}");
    server.until("/api/executions?status=succeeded", "/items/2/status", "succeeded").await;
    server.stop().await;
}
