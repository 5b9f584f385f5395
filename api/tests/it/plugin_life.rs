//! The life of a plugin version: what it asks for, who grants it, who vouches for it, and how it ends.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::signature::{SecretKey, Statement};
use serde_json::{Value, json};

use crate::guests::{asking, describing, well_behaved};
use crate::server::{Operator, Server};

fn manifest(version: &str, hosts: &Value) -> String {
    json!({ "name": "team/ask", "version": version, "capabilities": { "hosts": hosts } })
        .to_string()
}

async fn upload(server: &Server, version: &str, hosts: Value) -> crate::server::Answer {
    server.upload("", asking(&manifest(version, &hosts))).await
}

async fn approve(server: &Server, version: &str) -> crate::server::Answer {
    let path = format!("/api/plugins/team/ask/{version}/approve");
    server.post(&path, &json!({ "by": "ada", "reason": "looked at it" })).await
}

async fn publishes(server: &Server, requirement: &str) -> crate::server::Answer {
    let name = format!("w{}", uuid::Uuid::now_v7().simple());
    let step = json!({ "id": "a", "type": format!("team/ask@{requirement}"), "config": {} });
    server.post("/api/workflows", &json!({ "name": name, "steps": [step] })).await
}

fn help(refused: &crate::server::Answer) -> &str {
    refused.is_problem(422, "DEFINITION_INVALID");
    refused.body["errors"][0]["help"].as_str().unwrap()
}

#[tokio::test]
async fn a_version_that_asks_for_more_waits_for_an_approval_and_one_that_does_not_is_used_at_once()
{
    let server = Server::start().await;
    let first = upload(&server, "1.0.0", json!(["https://*.example.com"])).await;
    assert_eq!((first.status, &first.body["status"]), (201, &json!("pending")));
    assert_eq!(first.body["waitsFor"]["approval"], json!(["http https://*.example.com"]));
    assert!(help(&publishes(&server, "^1").await).contains("1.0.0 (pending)"));

    let approved = approve(&server, "1.0.0").await;
    assert_eq!((approved.status, &approved.body["status"]), (200, &json!("active")));
    assert_eq!(approved.body["grants"], json!(["http https://*.example.com"]));
    assert_eq!(publishes(&server, "^1").await.status, 201);
    approve(&server, "1.0.0").await.is_problem(409, "PLUGIN_STATUS");

    let narrower = upload(&server, "1.1.0", json!(["GET https://api.example.com/v1"])).await;
    assert_eq!(narrower.body["status"], "active", "{narrower:?}");
    let wider = upload(&server, "1.2.0", json!(["https://*.example.com", "https://b.test"])).await;
    assert_eq!(wider.body["waitsFor"]["approval"], json!(["http https://b.test"]));
    let diff = server.get("/api/plugins/team/ask/diff?from=1.0.0&to=1.2.0").await;
    assert_eq!(
        diff.body["capabilities"],
        json!({ "added": ["http https://b.test"], "removed": [] })
    );

    let audit = server.get("/api/audit").await;
    let entry = &audit.body["items"][0];
    assert_eq!(
        (&entry["actor"], &entry["action"], &entry["subject"]),
        (&json!("ada"), &json!("plugin.approve"), &json!("team/ask@1.0.0"))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_manifest_has_to_fit_its_module_and_the_policy() {
    let server = Server::start().await;
    let silent = json!({ "name": "team/ask", "version": "1.0.0" }).to_string();
    let answer = server.upload("", asking(&silent)).await;
    answer.is_problem(422, "PLUGIN_CAPABILITIES");
    assert_eq!(answer.faults(), [("CAPABILITY_MISMATCH", "/capabilities/hosts")]);
    let boasting =
        server.upload("", describing(&manifest("1.0.0", &json!(["https://a.test"])))).await;
    assert_eq!(boasting.faults(), [("CAPABILITY_MISMATCH", "/capabilities/hosts")]);
    server.upload("", b"PK not wasm".to_vec()).await.is_problem(422, "PLUGIN_NOT_WASM");
    let counts = [
        r#"stateflow_plugin_uploads_total{code="PLUGIN_NOT_WASM"} 1"#,
        r#"stateflow_plugin_compile_duration_seconds_count{tier="speed"} 2"#,
    ];
    server.until_text("/api/metrics/prometheus", &counts).await;
    let nonsense = upload(&server, "1.0.0", json!(["ftp://a.test"])).await;
    assert_eq!(nonsense.faults(), [("EGRESS_RULE_INVALID", "/capabilities/hosts")]);

    let policy = json!({ "by": "ada", "policy": { "plugins": { "capabilities": ["log"] } } });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    let forbidden = upload(&server, "1.0.0", json!(["https://a.test"])).await;
    assert_eq!(forbidden.faults(), [("CAPABILITY_NOT_ALLOWED", "/capabilities/hosts")]);
    server.is_untouched().await;

    // An empty list says that it reaches nothing, so nobody has to be asked.
    let open = json!({ "by": "ada", "policy": {} });
    assert_eq!(server.put("/api/namespaces/default/policy", &open).await.status, 200);
    let modest = upload(&server, "1.0.0", json!([])).await;
    assert_eq!((modest.status, &modest.body["status"]), (201, &json!("active")));
    server.stop().await;
}

#[tokio::test]
async fn a_policy_is_told_all_its_faults_and_is_not_overwritten_unseen() {
    let server = Server::start().await;
    let path = "/api/namespaces/default/policy";
    let faulty = json!({ "by": "ada", "policy": {
        "egress": ["https://a.test", "nonsense://"],
        "plugins": { "capabilities": ["files"],
            "signatures": { "required": 1, "keys": [{ "id": "k", "publicKey": "short" }] } } } });
    let answer = server.put(path, &faulty).await;
    let places: Vec<_> = answer.faults().into_iter().map(|(_, place)| place).collect();
    assert_eq!(
        places,
        [
            "/policy/plugins/capabilities/0",
            "/policy/plugins/signatures/keys/0/publicKey",
            "/policy/egress/1"
        ]
    );
    let misspelt = json!({ "by": "ada", "policy": { "egres": [] } });
    let answer = server.put(path, &misspelt).await;
    answer.is_problem(422, "POLICY_INVALID");
    assert!(answer.body["errors"][0]["message"].as_str().unwrap().contains("egres"));
    let before = server.get(path).await;
    assert_eq!((&before.body["revision"], &before.body["policy"]), (&json!(1), &json!({})));
    let set =
        |revision: i32| json!({ "by": "ada", "revision": revision, "policy": { "egress": [] } });
    assert_eq!(server.put(path, &set(1)).await.body["revision"], 2);
    server.put(path, &set(1)).await.is_problem(409, "CONFLICT");
    server.get("/api/namespaces/absent/policy").await.is_problem(404, "NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn a_version_waits_for_the_signatures_that_the_policy_requires() {
    let server = Server::start().await;
    let keys = [SecretKey::new(&[1; 32]), SecretKey::new(&[2; 32])];
    let policy = json!({ "by": "ada", "policy": { "plugins": { "signatures": { "required": 2, "keys": [
        { "id": "one", "publicKey": keys[0].public() }, { "id": "two", "publicKey": keys[1].public() }] } } } });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    let uploaded = server.upload("?name=team/ask&version=1.0.0", well_behaved()).await;
    assert_eq!((uploaded.status, &uploaded.body["waitsFor"]), (201, &json!({ "signatures": 2 })));
    let digest = uploaded.body["digest"].as_str().unwrap();
    let about = Statement { name: "team/ask", version: "1.0.0", digest };
    let path = "/api/plugins/team/ask/1.0.0/signatures";
    let signature = |key: &SecretKey, about| BASE64_STANDARD.encode(key.sign(about));

    let sign = async |key_id: &str, signature: String| {
        server.post(path, &json!({ "keyId": key_id, "signature": signature })).await
    };
    let other = Statement { version: "1.0.1", ..about };
    sign("one", signature(&keys[0], other)).await.is_problem(422, "SIGNATURE_INVALID");
    sign("one", signature(&keys[1], about)).await.is_problem(422, "SIGNATURE_INVALID");
    sign("three", signature(&keys[0], about)).await.is_problem(422, "SIGNATURE_INVALID");
    sign("one", "AAAA".to_owned()).await.is_problem(422, "SIGNATURE_INVALID");

    for _ in 0..2 {
        let once = sign("one", signature(&keys[0], about)).await;
        assert_eq!(once.body["status"], "pending", "the same key twice is one signature");
    }
    publishes(&server, "^1").await.is_problem(422, "DEFINITION_INVALID");
    let both = sign("two", signature(&keys[1], about)).await;
    assert_eq!(
        (&both.body["status"], &both.body["signedBy"]),
        (&json!("active"), &json!(["one", "two"]))
    );
    assert_eq!(publishes(&server, "^1").await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn what_the_installation_forbids_is_refused_though_the_namespace_allows_it() {
    let policy = json!({ "plugins": { "capabilities": ["log"] } });
    let server = Server::under(policy, None).await;
    let open = json!({ "by": "ada", "policy": { "plugins": { "capabilities": ["http", "log"] } } });
    assert_eq!(server.put("/api/namespaces/default/policy", &open).await.status, 200);
    let forbidden = upload(&server, "1.0.0", json!(["https://a.test"])).await;
    assert_eq!(forbidden.faults(), [("CAPABILITY_NOT_ALLOWED", "/capabilities/hosts")]);
    let message = forbidden.body["errors"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("the installation's policy does not allow"), "{message}");
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn a_key_of_the_namespace_does_not_stand_in_for_one_of_the_installation() {
    let (ours, theirs) = (SecretKey::new(&[1; 32]), SecretKey::new(&[2; 32]));
    let requiring = |key: &SecretKey| {
        json!({ "plugins": { "signatures": { "required": 1,
            "keys": [{ "id": "release", "publicKey": key.public() }] } } })
    };
    let server = Server::under(requiring(&ours), None).await;
    let namespace = json!({ "by": "eve", "policy": requiring(&theirs) });
    assert_eq!(server.put("/api/namespaces/default/policy", &namespace).await.status, 200);
    let uploaded = server.upload("?name=team/ask&version=1.0.0", well_behaved()).await;
    let digest = uploaded.body["digest"].as_str().unwrap();
    let about = Statement { name: "team/ask", version: "1.0.0", digest };
    let sign = async |key: &SecretKey| {
        let signature = BASE64_STANDARD.encode(key.sign(about));
        let body = json!({ "keyId": "release", "signature": signature });
        server.post("/api/plugins/team/ask/1.0.0/signatures", &body).await
    };
    let signed = sign(&theirs).await;
    assert_eq!(
        (signed.status, &signed.body["status"], &signed.body["waitsFor"]),
        (200, &json!("pending"), &json!({ "signatures": 1 }))
    );
    // Both are kept, though the keys have one name.
    let both = sign(&ours).await;
    assert_eq!(
        (&both.body["status"], &both.body["signedBy"]),
        (&json!("active"), &json!(["release"]))
    );
    server.stop().await;
}

#[tokio::test]
async fn signatures_that_are_required_later_hold_for_new_workflow_versions() {
    let server = Server::start().await;
    server.upload("?name=team/ask&version=1.0.0", well_behaved()).await;
    assert_eq!(publishes(&server, "^1").await.status, 201);
    let key = SecretKey::new(&[1; 32]);
    let policy = json!({ "by": "ada", "policy": { "plugins": { "signatures": { "required": 1,
        "keys": [{ "id": "one", "publicKey": key.public() }] } } } });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    assert!(help(&publishes(&server, "^1").await).contains("1.0.0 (1 signature(s) missing)"));

    let plugin = server.get("/api/plugins/team/ask/1.0.0").await;
    let digest = plugin.body["digest"].as_str().unwrap();
    let about = Statement { name: "team/ask", version: "1.0.0", digest };
    let signature = BASE64_STANDARD.encode(key.sign(about));
    let body = json!({ "keyId": "one", "signature": signature });
    assert_eq!(
        server.post("/api/plugins/team/ask/1.0.0/signatures", &body).await.body["status"],
        "active"
    );
    assert_eq!(publishes(&server, "^1").await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn a_yanked_version_is_locked_by_nobody_new_and_goes_on_where_it_is_locked() {
    let mut server = Server::start().await;
    server.add_worker();
    server.upload("?name=team/ask&version=1.0.0", well_behaved()).await;
    server.publish("uses", json!([{ "id": "a", "type": "team/ask@^1", "config": {} }])).await;
    let path = "/api/plugins/team/ask/1.0.0/yank";
    let yank = |undo: bool| json!({ "by": "ada", "reason": "it is wrong", "undo": undo });
    assert_eq!(server.post(path, &yank(false)).await.body["status"], "yanked");
    server.post(path, &yank(false)).await.is_problem(409, "PLUGIN_STATUS");
    assert!(help(&publishes(&server, "^1").await).contains("1.0.0 (yanked)"));
    assert_eq!(server.run("uses", json!({})).await["status"], "succeeded");

    // It is locked, so it is not garbage; another one is.
    server.upload("?name=team/other&version=1.0.0", crate::guests::babbling()).await;
    server.post("/api/plugins/team/other/1.0.0/yank", &yank(false)).await;
    let collect = |dry: bool| json!({ "by": "ada", "dryRun": dry, "yankedForMs": 0 });
    let week = server.post("/api/plugins/collect", &json!({ "by": "ada" })).await;
    assert_eq!(week.body["versions"], json!([]));
    for dry in [true, false] {
        let found = server.post("/api/plugins/collect", &collect(dry)).await;
        assert_eq!(found.body["versions"], json!(["team/other@1.0.0"]), "dry: {dry}");
        assert_eq!(found.body["blobs"], 2);
    }
    let none = server.post("/api/plugins/collect", &collect(false)).await;
    assert_eq!((&none.body["versions"], &none.body["blobs"]), (&json!([]), &json!(0)));
    server.get("/api/plugins/team/other/1.0.0").await.is_problem(404, "NOT_FOUND");
    assert_eq!(server.run("uses", json!({})).await["status"], "succeeded");

    assert_eq!(server.post(path, &yank(true)).await.body["status"], "active");
    assert_eq!(publishes(&server, "^1").await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_nothing() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let whole = well_behaved();
    let address = server.address().to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/plugins?name=team/cut&version=1.0.0 HTTP/1.1\r\nhost: x\r\n\
         content-type: application/wasm\r\ncontent-length: {}\r\n\r\n",
        whole.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&whole[..whole.len() / 2]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    // However it is told, or not: the sender has left.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_policy_forbids_no_http_step_does() {
    let mut server = Server::start().await;
    server.add_worker();
    let url = format!("http://{}/api/health/live", server.address());
    server.publish("calls", json!([{ "id": "a", "type": "http", "config": { "url": url } }])).await;
    assert_eq!(server.run("calls", json!({})).await["status"], "succeeded");

    let policy = json!({ "by": "ada", "policy": { "egress": ["https://*.example.com"] } });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    // Workers follow within seconds; until then the old policy holds.
    let denied = loop {
        let ended = server.run("calls", json!({})).await;
        if ended["status"] == "failed" {
            break ended;
        }
    };
    assert_eq!(denied["error"]["code"], "EGRESS_DENIED", "{denied}");
    let message = denied["error"]["message"].as_str().unwrap();
    assert!(message.contains("the namespace's policy"), "{message}");
    server.stop().await;
}

#[tokio::test]
async fn a_policy_lowers_what_a_step_asks_for() {
    let mut server = Server::start().await;
    server.add_worker();
    let policy = json!({ "by": "ada", "policy": { "plugins": { "fuel": 10 } } });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    server.upload("?name=team/ask&version=1.0.0", well_behaved()).await;
    let step =
        json!({ "id": "a", "type": "team/ask@^1", "config": {}, "limits": { "fuel": 1_000_000 } });
    server.publish("uses", json!([step])).await;
    let ended = server.run("uses", json!({})).await;
    assert_eq!(ended["error"]["code"], "FUEL_EXHAUSTED", "{ended}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ran_before_a_restart_is_at_hand_after_it() {
    let server = Server::working().await;
    for name in ["team/used", "team/idle"] {
        let query = format!("?name={name}&version=1.0.0");
        assert_eq!(server.upload(&query, well_behaved()).await.status, 201);
        let step = json!({ "id": "a", "type": format!("{name}@1.0.0") });
        let each = json!([{ "id": "each", "type": "map", "config": { "items": "${input}", "steps": [step] } }]);
        server.publish(&name.replace('/', "-"), each).await;
    }
    server.run("team-used", json!([1])).await;
    let database = server.leave().await;

    let mut server = Server::on(database, Operator::default()).await;
    server.add_worker();
    let metrics = "/api/metrics/prometheus";
    let loaded = r#"stateflow_plugin_loads_total{from="compiler",plugin="team/used"} 1"#;
    let text = server.until_text(metrics, &[loaded]).await;
    assert!(!text.contains("team/idle"), "{text}");
    server.run("team-used", json!([1])).await;
    server.until_text(metrics, &[loaded]).await;
    server.stop().await;
}
