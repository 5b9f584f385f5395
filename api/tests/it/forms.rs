//! Uploads as forms: `module` and `manifest`.

use reqwest::Method;
use serde_json::json;

use crate::guests::{babbling, importing, well_behaved};
use crate::server::{Answer, MAX_UPLOAD, Server, send};

const IDENTITY: &str = r#"{ "name": "team/echo", "version": "1.0.0" }"#;

/// A form of these parts, as a browser writes it.
pub(crate) fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    body
}

pub(crate) async fn upload(server: &Server, body: Vec<u8>) -> Answer {
    upload_to(server, "", body).await
}

pub(crate) async fn upload_to(server: &Server, query: &str, body: Vec<u8>) -> Answer {
    let request = server.request(Method::POST, &format!("/api/plugins{query}"));
    send(request.header("content-type", "multipart/form-data; boundary=edge").body(body)).await
}

#[tokio::test]
async fn a_form_and_plain_bytes_are_the_same_upload() {
    let server = Server::start().await;
    let module = well_behaved();
    let parts: &[(&str, &[u8])] = &[("module", &module), ("manifest", IDENTITY.as_bytes())];
    let first = upload(&server, form(parts)).await;
    assert_eq!((first.status, &first.body["name"]), (201, &json!("team/echo")), "{first:?}");
    let again = server.upload("?name=team/echo&version=1.0.0", module).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let other = babbling();
    let parts: &[(&str, &[u8])] = &[("manifest", IDENTITY.as_bytes()), ("module", &other)];
    upload(&server, form(parts)).await.is_problem(409, "CONFLICT");
    server.stop().await;
}

#[tokio::test]
async fn a_form_that_is_not_an_upload_is_refused() {
    let server = Server::start().await;
    let module = well_behaved();
    let (module, manifest) = (("module", module.as_slice()), ("manifest", IDENTITY.as_bytes()));
    let mut cut = form(&[manifest, module]);
    cut.truncate(cut.len() / 2);
    let cases = [
        (form(&[manifest]), 400, "REQUEST_INVALID"),
        (form(&[module, manifest, ("colour", b"red")]), 400, "REQUEST_INVALID"),
        (form(&[module, ("manifest", b"name: team/echo")]), 400, "REQUEST_INVALID"),
        (form(&[module, ("manifest", b"[]")]), 400, "REQUEST_INVALID"),
        (form(&[module, ("manifest", br#"{ "name": 1 }"#)]), 400, "REQUEST_INVALID"),
        (form(&[module, ("manifest", br#"{ "name": "team/echo" }"#)]), 422, "PLUGIN_UNNAMED"),
        (form(&[module]), 422, "PLUGIN_UNNAMED"),
        (form(&[("module", b""), manifest]), 422, "PLUGIN_EMPTY"),
        (cut, 400, "REQUEST_INVALID"),
        (b"no form at all".to_vec(), 400, "REQUEST_INVALID"),
    ];
    for (body, status, code) in cases {
        upload(&server, body).await.is_problem(status, code);
    }
    let browser = importing("__wbindgen_placeholder__", "__wbindgen_throw");
    let answer = upload(&server, form(&[("module", &browser), manifest])).await;
    answer.is_problem(422, "PLUGIN_BROWSER_BUILD").says("wasm32-wasip1");
    server.is_untouched().await;
    server.stop().await;
}

/// What a manifest asks for and does not get must not go unnoticed.
#[tokio::test]
async fn a_manifest_says_nothing_that_has_no_effect() {
    let server = Server::start().await;
    let module = well_behaved();
    for field in ["grants", "hosts", "vesion"] {
        let mut manifest = json!({ "name": "team/echo", "version": "1.0.0" });
        manifest[field] = json!(["x"]);
        let manifest = manifest.to_string();
        let body = form(&[("module", &module), ("manifest", manifest.as_bytes())]);
        upload(&server, body).await.is_problem(400, "REQUEST_INVALID").says(field);
    }
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn a_form_that_is_too_large_is_told_so() {
    let server = Server::start().await;
    let manifest = ("manifest", IDENTITY.as_bytes());
    for bytes in [MAX_UPLOAD + 1, MAX_UPLOAD + (1 << 20)] {
        let module = vec![0; bytes];
        let answer = upload(&server, form(&[("module", &module), manifest])).await;
        answer.is_problem(413, "TOO_LARGE");
    }
    server.is_untouched().await;
    server.stop().await;
}
