//! What a plugin reaches when a worker calls it: what it asked for, as far as the operator, the namespace and the step
//! let it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::any;
use serde_json::{Value, json};
use testing::guests::{Sending, sending};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::server::Server;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SECRET: &str = "correct-horse-battery";

/// Answers all requests, and remembers the key in each.
struct Elsewhere {
    origin: String,
    keys: Arc<Mutex<Vec<String>>>,
    _serving: AbortOnDropHandle<()>,
}

impl Elsewhere {
    async fn start() -> Self {
        let keys = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&keys);
        let remember = any(async move |headers: HeaderMap| {
            let key = headers.get("x-key").map_or("", |key| key.to_str().unwrap());
            seen.lock().unwrap().push(key.to_owned());
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(remember);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { origin, keys, _serving: AbortOnDropHandle::new(serving) }
    }
}

/// Who has a word in it, and what they say.
#[derive(Clone, Default)]
struct Words {
    manifest: Value,
    operator: Value,
    namespace: Value,
    limits: Value,
}

/// Uploads, approves and runs a plugin that makes one request; the execution as it ended, and what its log says.
async fn ask(words: Words, asked: Sending<'_>, secret_to: &str) -> (Value, String) {
    let mut server = Server::under(words.operator, Some(KEY)).await;
    let secret = json!({ "value": SECRET, "destinations": [secret_to] });
    let set = server.put("/api/secrets/api-key?by=ada", &secret).await;
    assert!((200..300).contains(&set.status), "{set:?}");
    let policy = json!({ "by": "ada", "policy": words.namespace });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    server.add_worker();
    let manifest =
        json!({ "name": "team/ask", "version": "1.0.0", "capabilities": words.manifest });
    let uploaded = server.upload("", sending(&manifest.to_string(), &asked)).await;
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    if uploaded.body["status"] == "pending" {
        let approval = json!({ "by": "ada" });
        let approved = server.post("/api/plugins/team/ask/1.0.0/approve", &approval).await;
        assert_eq!(approved.body["status"], "active", "{approved:?}");
    }
    let step = json!({ "id": "a", "type": "team/ask@^1", "limits": words.limits });
    server.publish("w", json!([step])).await;
    let ended = server.run("w", json!({})).await;
    let logs = format!("/api/executions/{}/logs", ended["id"].as_str().unwrap());
    let logs = server.get(&logs).await.body.to_string();
    server.stop().await;
    (ended, logs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_reaches_what_all_who_have_a_word_in_it_allow() {
    let elsewhere = Elsewhere::start().await;
    let origin = &elsewhere.origin;
    let url = format!("{origin}/v1");
    let asked = Sending { method: "GET", url: &url, ..Sending::default() };
    let all = Words {
        manifest: json!({ "hosts": [origin] }),
        operator: json!({}),
        namespace: json!({}),
        limits: json!({}),
    };
    let other = json!(["https://other.example.com"]);
    let none = json!({ "egress": other });
    let some = json!({ "egress": [origin] });
    let words = all.clone();
    let cases = [
        (words.clone(), None),
        (Words { operator: some.clone(), namespace: some, ..words.clone() }, None),
        (Words { limits: json!({ "hosts": [origin] }), ..words.clone() }, None),
        (Words { manifest: json!({ "hosts": other }), ..words.clone() }, Some("plugin team/ask")),
        (Words { operator: none.clone(), ..words.clone() }, Some("the operator's policy")),
        (Words { namespace: none, ..words.clone() }, Some("the namespace's policy")),
        (Words { limits: json!({ "hosts": other }), ..words.clone() }, Some("the step")),
        (Words { limits: json!({ "hosts": [] }), ..words }, Some("the step")),
    ];
    for (words, refused_by) in cases {
        let before = elsewhere.keys.lock().unwrap().len();
        let (ended, logs) = ask(words, asked, origin).await;
        let came = elsewhere.keys.lock().unwrap().len() - before;
        match refused_by {
            None => assert_eq!((&ended["output"], came), (&json!(200), 1), "{ended} {logs}"),
            Some(party) => {
                assert_eq!((&ended["output"], came), (&json!(100), 0), "{ended} {logs}");
                assert!(logs.contains(party) && logs.contains(origin), "{party}: {logs}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_s_secret_goes_in_on_the_wire_where_all_allow_it() {
    let elsewhere = Elsewhere::start().await;
    let origin = &elsewhere.origin;
    let url = format!("{origin}/v1");
    let asked = Sending { method: "GET", url: &url, secret: Some("api-key"), ..Sending::default() };
    let all = Words {
        manifest: json!({ "hosts": [origin], "secrets": ["api-key"] }),
        operator: json!({}),
        namespace: json!({}),
        limits: json!({}),
    };
    let (ended, logs) = ask(all.clone(), asked, origin).await;
    assert_eq!(ended["output"], 200, "{ended} {logs}");
    assert_eq!(*elsewhere.keys.lock().unwrap(), [SECRET]);
    assert!(!format!("{ended}{logs}").contains(SECRET), "{ended} {logs}");

    // The secret is not for this destination: the request is not made.
    let (ended, logs) = ask(all.clone(), asked, "https://api.example.com").await;
    assert_eq!(ended["output"], 100, "{ended} {logs}");
    assert!(logs.contains("api-key"), "{logs}");
    // The step does not hand it out: there is no placeholder to send.
    let limits = json!({ "secrets": [] });
    let (ended, _) = ask(Words { limits, ..all }, asked, origin).await;
    assert_eq!(ended["output"], 200, "{ended}");
    let keys = elsewhere.keys.lock().unwrap().clone();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(!keys[1].contains(SECRET) && keys[1].contains("api-key"), "{keys:?}");
}
