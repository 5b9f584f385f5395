//! What a plugin says of itself, what its uploader says, and what comes of it.

use serde_json::{Value, json};

use crate::forms::{form, upload, upload_to};
use crate::guests::{describing, well_behaved};
use crate::server::{Answer, Server};

const OWN: &str =
    r#"{"name":"demo/own","version":"1.2.3","configSchema":{"type":"object","required":["to"]}}"#;

async fn upload_with(server: &Server, module: &[u8], manifest: &Value) -> Answer {
    let manifest = manifest.to_string();
    upload(server, form(&[("module", module), ("manifest", manifest.as_bytes())])).await
}

/// A definition with one step of this type.
fn using(step_type: &str, config: &Value) -> Value {
    json!({ "name": "w", "steps": [{ "id": "a", "type": step_type, "config": config }] })
}

#[tokio::test]
async fn nobody_contradicts_what_a_plugin_says_of_itself() {
    let server = Server::start().await;
    for (query, claimed) in [
        ("?name=demo/other", "`demo/other`"),
        ("?version=1.2.4", "`1.2.4`"),
        ("?name=demo/own&version=2.0.0", "`2.0.0`"),
    ] {
        let answer = server.upload(query, describing(OWN)).await;
        answer.is_problem(422, "PLUGIN_IDENTITY_MISMATCH").says(claimed);
    }
    server.is_untouched().await;
    let plain = server.upload("", describing(OWN)).await;
    assert_eq!((plain.status, &plain.body["name"]), (201, &json!("demo/own")), "{plain:?}");
    let agreeing = server.upload("?name=demo/own&version=1.2.3", describing(OWN)).await;
    assert_eq!((agreeing.status, &agreeing.body), (200, &plain.body));
    server.stop().await;
}

#[tokio::test]
async fn a_query_and_a_manifest_do_not_contradict_each_other() {
    let server = Server::start().await;
    let module = well_behaved();
    let body = form(&[("module", &module), ("manifest", br#"{ "name": "team/one" }"#)]);
    let other = upload_to(&server, "?name=team/two&version=1.0.0", body.clone()).await;
    other.is_problem(422, "PLUGIN_IDENTITY_MISMATCH").says("team/one").says("team/two");
    server.is_untouched().await;
    let beside = upload_to(&server, "?version=1.0.0", body).await;
    assert_eq!((beside.status, &beside.body["version"]), (201, &json!("1.0.0")), "{beside:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_plugin_that_cannot_describe_itself_is_refused() {
    let server = Server::start().await;
    for manifest in ["", "hello", "[]", r#"{"name":"demo/own"}"#] {
        let answer = server.upload("", describing(manifest)).await;
        answer.is_problem(422, "PLUGIN_MANIFEST").says("describe");
    }
    let misnamed = describing(r#"{"name":"Own","version":"1.0.0"}"#);
    server.upload("", misnamed).await.is_problem(422, "PLUGIN_NAME_INVALID");
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn a_config_is_held_against_the_schema_whoever_gave_it() {
    let server = Server::start().await;
    assert_eq!(server.upload("", describing(OWN)).await.status, 201);
    let manifest = json!({ "name": "demo/given", "version": "1.0.0",
        "configSchema": { "type": "object", "required": ["to"] } });
    let given = upload_with(&server, &well_behaved(), &manifest).await;
    assert_eq!(given.status, 201, "{given:?}");
    for step_type in ["demo/own@^1", "demo/given@1.0.0"] {
        let bad = server.post("/api/workflows/validate", &using(step_type, &json!({}))).await.body;
        assert_eq!(bad["diagnostics"][0]["pointer"], "/steps/0/config", "{step_type}: {bad}");
        let good = using(step_type, &json!({ "to": "you" }));
        let good = server.post("/api/workflows/validate", &good).await.body;
        assert_eq!(good["valid"], true, "{step_type}: {good}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_versions_schemas_never_change() {
    let server = Server::start().await;
    let module = well_behaved();
    let manifest = |required: &str| json!({ "name": "team/echo", "version": "1.0.0", "configSchema": { "required": [required] } });
    let first = upload_with(&server, &module, &manifest("a")).await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = upload_with(&server, &module, &manifest("a")).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    upload_with(&server, &module, &manifest("b")).await.is_problem(409, "CONFLICT");
    let bare = server.upload("?name=team/echo&version=1.0.0", module).await;
    assert_eq!(
        (bare.status, &bare.body),
        (200, &first.body),
        "nothing is claimed, nothing changes"
    );
    server.stop().await;
}
