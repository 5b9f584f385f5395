//! The examples of the `OpenAPI` document: every JSON body has one, and each is sent as it stands.
//!
//! There is no worker, so nothing moves between two calls. What cannot be carried out without one is refused only for
//! what it is about, never for what it says.

use std::collections::BTreeMap;

use engine::signature::SecretKey;
use reqwest::Method;
use serde_json::{Value, json};
use stateflow_api::openapi;

use crate::guests::asking;
use crate::server::{Answer, Server, send};

/// The operator's key for secrets.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PLUGIN: [(&str, &str); 3] = [("team", "team"), ("name", "mail"), ("version", "1.0.0")];

/// A body's media type, and the example of it.
type Body = (String, Value);

/// A call that takes JSON, as the document has it.
struct Call {
    method: Method,
    path: String,
    bodies: Vec<Body>,
}

/// The calls that are still to be made, by the names of their operations.
struct Calls(BTreeMap<String, Call>);

impl Calls {
    fn of(document: &Value) -> Self {
        let mut calls = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, about) in methods.as_object().unwrap() {
                let bodies = bodies(document, about);
                if !bodies.is_empty() {
                    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                    let call = Call { method, path: path.clone(), bodies };
                    calls.insert(about["operationId"].as_str().unwrap().to_owned(), call);
                }
            }
        }
        Self(calls)
    }

    /// Sends all examples of an operation, to a path of these names. The answer to the last.
    async fn send(
        &mut self,
        server: &Server,
        operation: &str,
        names: &[(&str, &str)],
        status: u16,
    ) -> Answer {
        let Call { method, path, bodies } =
            self.0.remove(operation).unwrap_or_else(|| panic!("`{operation}` takes no JSON"));
        let filled = |path: String, (name, value): &(&str, &str)| {
            path.replace(&format!("{{{name}}}"), value)
        };
        let path = names.iter().fold(path, filled);
        let mut last = None;
        for (kind, example) in bodies {
            let request = server.request(method.clone(), &path).header("content-type", &kind);
            let answer = send(request.body(example.to_string())).await;
            assert_eq!(answer.status, status, "{operation} {kind} {example}: {answer:?}");
            last = Some(answer);
        }
        last.unwrap()
    }
}

/// The JSON bodies of an operation: an example stands with the body, or with its schema.
fn bodies(document: &Value, about: &Value) -> Vec<Body> {
    let contents = about["requestBody"]["content"].as_object();
    let json = contents.into_iter().flatten().filter(|(kind, _)| kind.ends_with("json"));
    let body = |(kind, content): (&String, &Value)| {
        let schema = content["schema"]["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        let of_schema = schema.and_then(|it| document.pointer(it)?.get("example"));
        let example = content.get("example").or(of_schema);
        let example = example
            .unwrap_or_else(|| panic!("{}: there is no example of {kind}", about["operationId"]));
        (kind.clone(), example.clone())
    };
    json.map(body).collect()
}

async fn workflows(calls: &mut Calls, server: &Server) {
    let workflow = &[("workflow", "welcome")];
    let created = calls.send(server, "create_workflow", &[], 201).await;
    let checked = calls.send(server, "validate_workflow", &[], 200).await;
    assert_eq!(checked.body, json!({ "valid": true, "diagnostics": [] }));
    let same = calls.send(server, "update_workflow", workflow, 200).await;
    assert_eq!((&same.body["name"], &same.body["version"]), (&json!("welcome"), &json!(1)));
    let mut second = created.body["definition"].clone();
    second["description"] = json!("another");
    assert_eq!(server.put("/api/workflows/welcome", &second).await.body["version"], 2);
    calls.send(server, "set_live_version", workflow, 200).await;
    let batch = calls.send(server, "execute_batch", workflow, 202).await;
    assert!(batch.body["ids"].as_array().unwrap().len() > 1, "{batch:?}");
    let moved = calls.send(server, "migrate_executions", workflow, 200).await;
    assert_eq!(moved.body["dryRun"], true);
}

async fn executions(calls: &mut Calls, server: &Server) {
    let started = calls.send(server, "execute", &[("workflow", "welcome")], 202).await;
    let id = &[("id", started.body["id"].as_str().unwrap())];
    calls.send(server, "send_signal", id, 202).await;
    calls.send(server, "decide_approval", id, 409).await.is_problem(409, "NOTHING_ASKED");
    let retried = calls.send(server, "retry_step", id, 409).await;
    retried.is_problem(409, "EXECUTION_NOT_FAILED");
    calls.send(server, "fork_execution", id, 202).await;
    calls.send(server, "pause_execution", id, 202).await;
    calls.send(server, "cancel_execution", id, 202).await;
    let nobody = calls.send(server, "complete_token", &[("token", "none")], 404).await;
    nobody.is_problem(404, "NOT_FOUND").says("wait token");
    calls.send(server, "send_event", &[], 202).await;
    calls.send(server, "begin_bulk_action", &[], 200).await;
    calls.send(server, "redrive_dead_letters", &[], 202).await;
    calls.send(server, "purge_dead_letters", &[], 200).await;
}

async fn plugins(calls: &mut Calls, server: &Server) {
    let manifest = json!({
        "name": "team/mail", "version": "1.0.0",
        "capabilities": { "hosts": ["https://mail.example.com"] },
    });
    assert_eq!(server.upload("", asking(&manifest.to_string())).await.status, 201);
    let approved = calls.send(server, "approve_plugin", &PLUGIN, 200).await;
    assert_eq!(approved.body["status"], "active");
    let yanked = calls.send(server, "yank_plugin", &PLUGIN, 200).await;
    assert_eq!(yanked.body["status"], "yanked");
    calls.send(server, "collect_plugins", &[], 200).await;
    // It has the form of a signature. Whose it is nobody can write down before there is a plugin.
    let key = json!({ "id": "ada", "publicKey": SecretKey::new(&[7; 32]).public() });
    let policy = json!({ "by": "ada", "policy": { "plugins": { "signatures": { "required": 1, "keys": [key] } } } });
    assert_eq!(server.put("/api/namespaces/default/policy", &policy).await.status, 200);
    let refused = calls.send(server, "sign_plugin", &PLUGIN, 422).await;
    refused.is_problem(422, "SIGNATURE_INVALID").says("does not fit");
}

#[tokio::test]
async fn every_json_body_has_an_example_that_the_server_takes() {
    let server = Server::with_keys(Some(KEY)).await;
    let mut calls = Calls::of(&openapi());
    workflows(&mut calls, &server).await;
    executions(&mut calls, &server).await;
    calls.send(&server, "set_secret", &[("name", "mail-key")], 201).await;
    calls.send(&server, "set_policy", &[("name", "default")], 200).await;
    plugins(&mut calls, &server).await;
    assert!(calls.0.is_empty(), "not sent: {:?}", calls.0.into_keys().collect::<Vec<_>>());
    server.stop().await;
}
