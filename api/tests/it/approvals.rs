//! Questions to people, from outside.

use serde_json::{Value, json};

use crate::server::Server;

async fn ask(server: &Server, config: Value) -> String {
    server.publish("w", json!([{ "id": "ok", "type": "approval", "config": config }])).await;
    let id = server.begin("w", json!({ "input": { "sum": 900 } })).await;
    server.until(&format!("/api/executions/{id}"), "/status", "waiting").await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_approve_an_expense() {
    let server = Server::working().await;
    let form = json!({ "required": ["costCentre"] });
    let id = ask(
        &server,
        json!({ "message": "Pay ${input.sum}?", "approvers": ["ann", "bob", "eve"], "count": 2,
        "formSchema": form }),
    )
    .await;
    let why = server.get(&format!("/api/executions/{id}/why")).await.body;
    assert_eq!(
        (&why["reason"]["type"], &why["reason"]["count"]),
        (&json!("WAIT_APPROVAL"), &json!(2))
    );
    let list = server.get("/api/approvals?approver=ann").await.body;
    assert_eq!(
        (&list["items"][0]["id"], &list["items"][0]["message"]),
        (&json!(id), &json!("Pay 900?"))
    );
    assert_eq!(server.get("/api/approvals?approver=mallory").await.body["items"], json!([]));
    let asked = server.get(&format!("/api/approvals/{id}")).await.body;
    assert_eq!(asked["formSchema"], form);

    let decide = format!("/api/approvals/{id}/decide");
    let yes = |by: &str| json!({ "by": by, "approved": true, "form": { "costCentre": 7 } });
    server.post(&decide, &yes("mallory")).await.is_problem(403, "NOT_ASKED").says("ann, bob, eve");
    let bare = json!({ "by": "ann", "approved": true });
    let refused = server.post(&decide, &bare).await;
    refused.is_problem(422, "FORM_INVALID");
    server
        .post(&decide, &json!({ "by": "", "approved": true }))
        .await
        .is_problem(400, "REQUEST_INVALID");
    assert_eq!(server.post(&decide, &yes("ann")).await.status, 202);
    server.until(&format!("/api/approvals/{id}"), "/decisions/0/by", "ann").await;
    server.post(&decide, &yes("ann")).await.is_problem(409, "ALREADY_DECIDED");
    let mut with_comment = yes("bob");
    with_comment["comment"] = json!("go ahead");
    assert_eq!(server.post(&decide, &with_comment).await.status, 202);
    let ended = server.until(&format!("/api/executions/{id}"), "/status", "succeeded").await;
    let output = &ended["output"];
    assert_eq!(
        (&output["approved"], &output["decisions"][1]["comment"]),
        (&json!(true), &json!("go ahead"))
    );
    assert_eq!(output["decisions"][0]["form"], json!({ "costCentre": 7 }));
    assert!(output["decisions"][0]["at"].is_string());
    server.post(&decide, &yes("eve")).await.is_problem(409, "NOTHING_ASKED");
    server.get(&format!("/api/approvals/{id}")).await.is_problem(404, "NOT_FOUND");
    assert_eq!(server.get("/api/approvals").await.body["items"], json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_no_decides_and_needs_no_form() {
    let server = Server::working().await;
    let id = ask(&server, json!({ "count": 2, "formSchema": { "required": ["a"] } })).await;
    let no = json!({ "by": "anybody", "approved": false, "comment": "too much" });
    assert_eq!(server.post(&format!("/api/approvals/{id}/decide"), &no).await.status, 202);
    let ended = server.until(&format!("/api/executions/{id}"), "/status", "succeeded").await;
    assert_eq!(ended["output"]["approved"], false);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_listed_in_pages() {
    let server = Server::working().await;
    server.publish("w", json!([{ "id": "ok", "type": "approval", "config": {} }])).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(server.begin("w", json!({})).await);
    }
    for id in &ids {
        server.until(&format!("/api/executions/{id}"), "/status", "waiting").await;
    }
    let first = server.get("/api/approvals?limit=2").await.body;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = server.get(&format!("/api/approvals?limit=2&cursor={cursor}")).await.body;
    let items =
        first["items"].as_array().unwrap().iter().chain(second["items"].as_array().unwrap());
    let seen: Vec<_> = items.map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(seen, ids);
    assert_eq!(second["nextCursor"], json!(null));
    server.stop().await;
}
