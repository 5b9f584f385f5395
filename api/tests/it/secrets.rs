//! Secrets from outside: what a listed destination gets, what nobody else finds anywhere, and the operator's keys.

use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use engine::placeholder::Placeholders;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::mirror::{Mirror, percent};
use crate::server::{Operator, Server, send};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "/wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const CANARY: &str = "c4n4ry/f7+k=&x?Zq~8w";

async fn set(server: &Server, name: &str, value: &str, destinations: &[&str]) {
    let body = json!({ "value": value, "destinations": destinations });
    let answer = server.put(&format!("/api/secrets/{name}"), &body).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

fn keys(keys: Option<&str>) -> Operator<'_> {
    Operator { keys, ..Operator::default() }
}

async fn working(keys: Option<&str>) -> Server {
    let mut server = Server::with_keys(keys).await;
    server.add_worker();
    server
}

/// One step that sends the secret in every part of a request.
fn step() -> Value {
    json!([{
        "id": "call", "type": "http", "retryPolicy": { "maxAttempts": 1 },
        "config": {
            "method": "POST",
            "url": "${input.url}",
            "headers": {
                "x-key": "${secret('api-key')}",
                "authorization": "Basic ${base64('user:' + secret('api-key'))}",
            },
            "body": { "key": "${secret('api-key')}" },
        },
    }])
}

/// Runs it to its end, and returns the execution as people see it.
async fn call(server: &Server, url: &str) -> Value {
    let id = server.begin("call", json!({ "input": { "url": url } })).await;
    server.until_ended(&format!("/api/executions/{id}")).await
}

#[tokio::test]
async fn a_listed_destination_gets_the_secret_and_nobody_else_finds_it_anywhere() {
    let watched = watch_logs();
    let (server, mirror, elsewhere) =
        (working(Some(KEY)).await, Mirror::start().await, Mirror::start().await);
    set(&server, "api-key", CANARY, &[&mirror.url]).await;
    server.publish("call", step()).await;

    let mut ids = Vec::new();
    for path in
        ["/body", "/json", "/headers", "/base64", "/base64url", "/hex", "/upper-hex", "/url"]
    {
        let ended = call(&server, &format!("{}{path}", mirror.url)).await;
        assert_eq!(ended["status"], "succeeded", "{path} {ended}");
        let shown = server
            .get(&format!("/api/executions/{}/timeline", ended["id"].as_str().unwrap()))
            .await;
        let text = format!("{ended}{}", shown.body);
        assert!(text.contains("[secret api-key]"), "{path} {text}");
        ids.push(ended["id"].clone());
    }
    let basic = BASE64_STANDARD.encode(format!("user:{CANARY}"));
    let arrived = mirror.seen();
    assert_eq!(arrived[0], format!("/body\n{CANARY}\nBasic {basic}\n{{\"key\":\"{CANARY}\"}}"));

    let failed = call(&server, &format!("{}/error", mirror.url)).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed.to_string().contains("[secret api-key]"), "{failed}");
    ids.push(failed["id"].clone());

    let redirected = format!("{}/redirect?to={}/body", mirror.url, elsewhere.url);
    let unlisted = format!("{}/body", elsewhere.url);
    for url in [redirected, unlisted] {
        let ended = call(&server, &url).await;
        ids.push(ended["id"].clone());
        for arrived in elsewhere.seen() {
            assert!(
                !holds(arrived.as_bytes()) && !arrived.contains("stateflow-secret"),
                "{arrived}"
            );
        }
    }
    assert_eq!(elsewhere.seen().len(), 1, "the redirect was followed, without the secret");
    let last =
        server.get(&format!("/api/executions/{}", ids.last().unwrap().as_str().unwrap())).await;
    assert!(last.body.to_string().contains("EGRESS_DENIED"), "{last:?}");

    for id in ids.iter().filter_map(Value::as_str) {
        for view in ["", "/timeline", "/logs", "/why"] {
            let text = server.text(&format!("/api/executions/{id}{view}")).await;
            assert!(!holds(text.as_bytes()), "{view} {text}");
        }
    }
    for path in ["/api/secrets", "/api/executions", "/metrics", "/api/workflows/call"] {
        assert!(!holds(server.text(path).await.as_bytes()), "{path}");
    }
    let database = server.leave().await;
    assert!(search_everything(database.url()).await > 5);
    assert_eq!(watched.load(Ordering::SeqCst), 0, "the process's log has the secret");
}

/// Looks at every value of every row of every table, and returns how often a secret was taken out of one.
async fn search_everything(url: &str) -> usize {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let tables = "select format('%I.%I', table_schema, table_name) from information_schema.tables
                  where table_schema = 'stateflow' and table_type = 'BASE TABLE'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    let (mut rows_seen, mut marks) = (0, 0);
    for table in tables {
        let rows = AssertSqlSafe(format!("select to_jsonb(it)::text from {table} it"));
        let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut connection).await.unwrap();
        for row in rows {
            rows_seen += 1;
            visit(&serde_json::from_str(&row).unwrap(), &mut |text| {
                marks += usize::from(text.contains("[secret api-key]"));
                assert!(!holds(text.as_bytes()), "{table} {text}");
                let bytes = text.strip_prefix("\\x").and_then(|digits| hex::decode(digits).ok());
                assert!(!bytes.is_some_and(|bytes| holds(&bytes)), "{table} {text}");
            });
        }
    }
    assert!(rows_seen > 20, "the search sees what is there: {rows_seen}");
    marks
}

fn visit(value: &Value, look: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => {
            look(text);
            // Documents within a column of text, and what their escapes hide.
            if let Ok(inner @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
                visit(&inner, look);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, look)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            look(name);
            visit(value, look);
        }),
        _ => {}
    }
}

/// Whether bytes have the canary in any form.
fn holds(bytes: &[u8]) -> bool {
    let mut forms = vec![
        CANARY.to_owned(),
        hex::encode(CANARY),
        hex::encode_upper(CANARY),
        percent(CANARY),
        percent(CANARY).to_ascii_lowercase(),
    ];
    // At each of the three places where it may begin, without the digits that its neighbours have a part in.
    for (before, skip) in [("", 0), ("x", 2), ("xy", 3)] {
        for text in [
            BASE64_STANDARD.encode(format!("{before}{CANARY}")),
            BASE64_URL_SAFE.encode(format!("{before}{CANARY}")),
        ] {
            let end = (before.len() + CANARY.len()) * 8 / 6;
            forms.push(text[skip..end].to_owned());
        }
    }
    forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form.as_bytes()))
}

/// Counts the lines of this process's log that hold the canary.
fn watch_logs() -> &'static AtomicUsize {
    static FOUND: AtomicUsize = AtomicUsize::new(0);
    struct Watch;
    impl Write for Watch {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            FOUND.fetch_add(usize::from(holds(line)), Ordering::SeqCst);
            Ok(line.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let log =
            tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(|| Watch);
        log.try_init().expect("nobody else in this process listens");
        tracing::info!("{CANARY}");
        assert_eq!(FOUND.swap(0, Ordering::SeqCst), 1, "the watch sees what is logged");
    });
    &FOUND
}

#[tokio::test]
async fn a_secret_is_set_listed_without_its_value_and_deleted() {
    let server = Server::with_keys(Some(KEY)).await;
    let body =
        json!({ "value": CANARY, "destinations": ["a.example", "POST http://b.example:8080/x"] });
    let created = server.put("/api/secrets/api-key", &body).await;
    assert_eq!((created.status, &created.body["version"]), (201, &json!(1)));
    let again = server.put("/api/secrets/api-key", &body).await;
    assert_eq!((again.status, &again.body["version"]), (200, &json!(2)));
    let list = server.get("/api/secrets").await;
    let item = &list.body["items"][0];
    assert_eq!(item["name"], "api-key");
    assert_eq!(item["destinations"], json!(["https://a.example", "POST http://b.example:8080/x"]));
    assert!(!holds(format!("{created:?}{list:?}").as_bytes()));
    let delete = || send(server.request(Method::DELETE, "/api/secrets/api-key"));
    assert_eq!(delete().await.status, 204);
    delete().await.is_problem(404, "NOT_FOUND");
    assert_eq!(server.get("/api/secrets").await.body["items"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_secret_is_said_in_its_places_and_not_quoted() {
    let server = Server::with_keys(Some(KEY)).await;
    for (name, body, pointers) in [
        ("1x", json!({ "value": CANARY }), vec![""]),
        ("x", json!({}), vec!["/value"]),
        ("x", json!({ "value": 1_234_567_890 }), vec!["/value"]),
        ("x", json!({ "value": [CANARY] }), vec!["/value"]),
        ("x", json!({ "value": "seven b" }), vec!["/value"]),
        ("x", json!({ "value": "x".repeat(65537) }), vec!["/value"]),
        ("x", json!({ "value": CANARY, "destinations": "a.example" }), vec!["/destinations"]),
        (
            "x",
            json!({ "value": CANARY, "destinations": ["a.example", 7, "ftp://x"] }),
            vec!["/destinations/1", "/destinations/2"],
        ),
        (
            "x",
            json!({ "value": CANARY, "destinations": vec!["a.example"; 65] }),
            vec!["/destinations"],
        ),
    ] {
        let answer = server.put(&format!("/api/secrets/{name}"), &body).await;
        answer.is_problem(422, "SECRET_INVALID");
        let errors = answer.body["errors"].as_array().unwrap();
        let found: Vec<_> = errors.iter().map(|it| it["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, pointers, "{answer:?}");
        let text = answer.body.to_string();
        assert!(!holds(text.as_bytes()) && !text.contains("1234567890"), "{text}");
    }
    let unknown = json!({ "value": CANARY, "destination": ["a.example"] });
    server.put("/api/secrets/x", &unknown).await.is_problem(400, "REQUEST_INVALID");
    // The largest value, and in the form that takes the most room.
    let largest = json!({ "value": "\u{1}".repeat(65536) });
    assert_eq!(server.put("/api/secrets/x", &largest).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn without_a_key_everything_works_but_secrets() {
    let (server, mirror) = (working(None).await, Mirror::start().await);
    let body = json!({ "value": CANARY });
    let refused = server.put("/api/secrets/api-key", &body).await;
    refused.is_problem(409, "SECRETS_KEY_MISSING").says("STATEFLOW_SECRETS_KEY");
    server.publish("call", step()).await;
    let failed = call(&server, &format!("{}/body", mirror.url)).await;
    assert!(failed.to_string().contains("there is no secret `api-key`"), "{failed}");
    let plain =
        json!([{ "id": "a", "type": "http", "config": { "url": format!("{}/body", mirror.url) } }]);
    server.publish("plain", plain).await;
    assert_eq!(server.run("plain", json!({})).await["status"], "succeeded");
    assert_eq!(mirror.seen().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn keys_are_rotated_and_a_wrong_key_is_said_to_be_one() {
    let mirror = Mirror::start().await;
    let url = format!("{}/body", mirror.url);
    let server = working(Some(KEY)).await;
    set(&server, "api-key", CANARY, &[&mirror.url]).await;
    server.publish("call", step()).await;
    let database = server.leave().await;

    let mut server = Server::on(database, keys(Some(&format!("{OTHER_KEY},{KEY}")))).await;
    server.add_worker();
    assert_eq!(call(&server, &url).await["status"], "succeeded");
    let rotated = server.post("/api/secrets-rotation", &json!({})).await;
    assert_eq!((rotated.status, &rotated.body["resealed"]), (200, &json!(1)), "{rotated:?}");
    let again = server.post("/api/secrets-rotation", &json!({})).await;
    assert_eq!((&again.body["resealed"], &again.body["failed"]), (&json!(0), &json!([])));
    let database = server.leave().await;

    let mut server = Server::on(database, keys(Some(OTHER_KEY))).await;
    server.add_worker();
    assert_eq!(call(&server, &url).await["status"], "succeeded");
    let listed = server.get("/api/secrets").await;
    assert_eq!(listed.body["items"][0]["version"], 1, "{listed:?}");
    let key_id = listed.body["items"][0]["keyId"].as_str().unwrap().to_owned();
    let database = server.leave().await;

    let mut server = Server::on(database, keys(Some(KEY))).await;
    server.add_worker();
    let failed = call(&server, &url).await.to_string();
    assert!(
        failed.contains(&key_id) && failed.contains("not among this process's keys"),
        "{failed}"
    );
    let rotated = server.post("/api/secrets-rotation", &json!({})).await;
    assert!(rotated.body["failed"][0].as_str().unwrap().contains(&key_id), "{rotated:?}");
    assert_eq!(mirror.seen().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn a_placeholder_of_another_execution_stays_text() {
    let (server, mirror) = (working(Some(KEY)).await, Mirror::start().await);
    set(&server, "api-key", CANARY, &[&mirror.url]).await;
    let steps = json!([{
        "id": "call", "type": "http",
        "config": { "url": format!("{}/body", mirror.url), "headers": { "x-key": "${input.key}" } },
    }]);
    server.publish("call", steps).await;
    let key = server.store.callback_key().await.unwrap();
    let stolen = Placeholders::of(key, Uuid::from_u128(7)).make("api-key");
    server.run("call", json!({ "key": stolen })).await;
    assert!(mirror.seen()[0].contains(&stolen), "{:?}", mirror.seen());
    server.stop().await;
}

#[tokio::test]
async fn a_workflow_that_would_show_a_secret_is_not_published() {
    let server = Server::start().await;
    let steps =
        json!([{ "id": "a", "type": "log", "config": { "message": "${secret('api-key')}" } }]);
    let answer = server.post("/api/workflows", &json!({ "name": "w", "steps": steps })).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    let error = &answer.body["errors"][0];
    assert_eq!(error["code"], "SECRET_NOT_ALLOWED");
    assert_eq!(error["pointer"], "/steps/0/config/message");
    server.stop().await;
}

/// What is on record, newest first: who did what to what.
async fn record(server: &Server) -> Vec<(String, String, String)> {
    let page = server.get("/api/audit").await.body;
    let text = |it: &Value, field: &str| it[field].as_str().unwrap().to_owned();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| (text(it, "actor"), text(it, "action"), text(it, "subject"))).collect()
}

fn line(actor: &str, action: &str, subject: &str) -> (String, String, String) {
    (actor.to_owned(), action.to_owned(), subject.to_owned())
}

#[tokio::test]
async fn what_is_done_to_secrets_is_on_record_without_their_values() {
    let server = Server::with_keys(Some(KEY)).await;
    let body = json!({ "value": CANARY, "destinations": ["https://api.example.com"] });
    assert_eq!(server.put("/api/secrets/api-key?by=ada", &body).await.status, 201);
    let gone = server.request(Method::DELETE, "/api/secrets/api-key");
    assert_eq!(send(gone).await.status, 204);
    let wanted = [line("api", "secret.delete", "api-key"), line("ada", "secret.set", "api-key")];
    assert_eq!(record(&server).await, wanted);
    assert!(!server.text("/api/audit").await.contains("c4n4ry"));
    let long = "x".repeat(201);
    let refused = server.put(&format!("/api/secrets/api-key?by={long}"), &body).await;
    refused.is_problem(400, "REQUEST_INVALID");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_plugin_sees_is_on_record_and_stands_nowhere() {
    let watched = watch_logs();
    let policy = json!({ "plugins": { "capabilities": ["reveal", "log", "progress", "blob"] } });
    let mut server = Server::under(policy.clone(), Some(KEY)).await;
    server.add_worker();
    set(&server, "api-key", CANARY, &["https://api.example.com"]).await;
    let kinds = json!({ "by": "ada", "policy": policy });
    assert_eq!(server.put("/api/namespaces/default/policy", &kinds).await.status, 200);
    let manifest = json!({ "name": "team/look", "version": "1.0.0", "capabilities": { "reveal": ["api-key"] } });
    let imports = r#"
        (import "stateflow:plugin/revealing@1.0.0" "reveal" (func $reveal (param i32 i32 i32)))
        (import "stateflow:plugin/log@1.0.0" "log" (func $log (param i32 i32 i32 i32 i32)))
        (import "stateflow:plugin/progress@1.0.0" "heartbeat" (func $note (param i32 i32)))
        (import "stateflow:plugin/blob@1.0.0" "[constructor]writer" (func $writer (result i32)))
        (import "stateflow:plugin/blob@1.0.0" "[method]writer.write" (func $write (param i32 i32 i32 i32)))"#;
    // It puts what it sees everywhere that it can, and answers it: after a point, if no blob took it.
    let wasm = testing::guests::step(
        &manifest.to_string(),
        imports,
        r#"(data (i32.const 1024) "api-key")"#,
        "(call $reveal (i32.const 1024) (i32.const 7) (i32.const 512))
         (call $log (i32.const 2) (i32.load (i32.const 516)) (i32.load (i32.const 520))
             (i32.const 0) (i32.const 0))
         (call $note (i32.load (i32.const 516)) (i32.load (i32.const 520)))
         (call $write (call $writer) (i32.load (i32.const 516)) (i32.load (i32.const 520))
             (i32.const 576))
         (call $say (select (i32.const 46) (i32.const 33) (i32.load8_u (i32.const 576)))
             (i32.load (i32.const 516)) (i32.load (i32.const 520)))",
    );
    assert_eq!(server.upload("", wasm).await.status, 201);
    let approved =
        server.post("/api/plugins/team/look/1.0.0/approve", &json!({ "by": "ada" })).await;
    assert_eq!(approved.status, 200, "{approved:?}");
    server.publish("look", json!([{ "id": "a", "type": "team/look@1.0.0" }])).await;
    let ended = server.run("look", json!({})).await;
    assert_eq!(ended["output"], ".[secret api-key]", "{ended}");
    assert_eq!(record(&server).await[0], line("plugin team/look", "secret.reveal", "api-key"));
    let logs = server.get(&format!("/api/executions/{}/logs", ended["id"].as_str().unwrap())).await;
    assert!(logs.body.to_string().contains("[secret api-key]"), "{logs:?}");
    let database = server.leave().await;
    assert!(search_everything(database.url()).await > 1);
    assert_eq!(watched.load(Ordering::SeqCst), 0, "the process's log has the secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_signs_has_the_signature_and_the_key_stands_nowhere() {
    let watched = watch_logs();
    let server = working(Some(KEY)).await;
    set(&server, "api-key", CANARY, &[]).await;
    // A secret that is a key for this algorithm, and for one it is no key of.
    for (version, algorithm) in [("1.0.0", "HS256"), ("2.0.0", "RS256")] {
        let manifest = json!({ "name": "team/sign", "version": version, "capabilities": { "sign": ["api-key"] } });
        let imports = r#"(import "stateflow:plugin/signing@1.0.0" "jwt"
            (func $jwt (param i32 i32 i32 i32 i32 i32 i32)))"#;
        let items = format!(r#"(data (i32.const 1024) "api-key{algorithm}{{}}")"#);
        let wasm = testing::guests::step(
            &manifest.to_string(),
            imports,
            &items,
            "(call $jwt (i32.const 1024) (i32.const 7) (i32.const 1031) (i32.const 5)
                 (i32.const 1036) (i32.const 2) (i32.const 512))
             (call $say (i32.add (i32.const 48) (i32.load8_u (i32.const 512)))
                 (i32.load (i32.const 516)) (i32.load (i32.const 520)))",
        );
        let uploaded = server.upload("", wasm).await;
        assert_eq!(uploaded.status, 201, "{uploaded:?}");
        if uploaded.body["status"] == "pending" {
            let path = "/api/plugins/team/sign/1.0.0/approve";
            let approved = server.post(path, &json!({ "by": "ada" })).await;
            assert_eq!(approved.status, 200, "{approved:?}");
        }
        server
            .publish(
                &algorithm.to_lowercase(),
                json!([{ "id": "a", "type": format!("team/sign@{version}") }]),
            )
            .await;
    }
    let signed = server.run("hs256", json!({})).await;
    let token = signed["output"].as_str().unwrap();
    let key = jsonwebtoken::DecodingKey::from_secret(CANARY.as_bytes());
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    rules.required_spec_claims.clear();
    let read = jsonwebtoken::decode::<Value>(token.strip_prefix('0').unwrap(), &key, &rules);
    assert_eq!(read.unwrap().claims, json!({}));
    let refused = server.run("rs256", json!({})).await;
    let why = refused["output"].as_str().unwrap();
    assert!(why.starts_with('1') && why.contains("api-key"), "{refused}");
    let database = server.leave().await;
    assert_eq!(search_everything(database.url()).await, 0, "it was in no answer");
    assert_eq!(watched.load(Ordering::SeqCst), 0, "the process's log has the secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_plugins_may_not_use_is_not_handed_to_them_by_an_author() {
    let step = |limits: Value| {
        json!([{ "id": "a", "type": "team/any@1.0.0", "limits": limits,
            "retryPolicy": { "maxAttempts": 1 }, "config": { "key": "${secret('api-key')}" } }])
    };
    for (policy, limits, status) in [
        (json!({}), json!({}), "succeeded"),
        (json!({}), json!({ "secrets": ["api-key"] }), "succeeded"),
        (json!({}), json!({ "secrets": [] }), "failed"),
        (json!({ "plugins": { "secrets": [] } }), json!({}), "failed"),
        (json!({ "plugins": { "capabilities": ["log"] } }), json!({}), "failed"),
    ] {
        let mut server = Server::under(policy.clone(), Some(KEY)).await;
        server.add_worker();
        set(&server, "api-key", CANARY, &[]).await;
        let plugin = testing::guests::minimal("", "");
        assert_eq!(server.upload("?name=team/any&version=1.0.0", plugin).await.status, 201);
        server.publish("w", step(limits.clone())).await;
        let ended = server.run("w", json!({})).await;
        assert_eq!(ended["status"], status, "{policy} {limits} {ended}");
        let refused = ended.to_string().contains("CONFIG_INVALID");
        assert_eq!(refused, status == "failed", "{policy} {limits} {ended}");
        server.stop().await;
    }
}
