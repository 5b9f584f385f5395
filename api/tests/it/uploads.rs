//! Uploads: what is not a plugin that can run here, and what happens to one that is.

use serde_json::json;

use crate::guests::{importing, well_behaved};
use crate::server::{MAX_UPLOAD, Server};

const IDENTITY: &str = "?name=team/echo&version=1.0.0";

#[tokio::test]
async fn what_cannot_run_here_is_refused_with_advice() {
    let server = Server::start().await;
    server.upload(IDENTITY, b"hello".to_vec()).await.is_problem(422, "PLUGIN_NOT_WASM");
    let mut cut = well_behaved();
    cut.truncate(cut.len() / 2);
    let answer = server.upload(IDENTITY, cut).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    for (module, name) in [("env", "now"), ("__wbindgen_placeholder__", "__wbindgen_throw")] {
        let answer = server.upload(IDENTITY, importing(module, name)).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        answer.says(module).says("wasm32-");
    }
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn an_upload_has_a_size() {
    let server = Server::start().await;
    let of_size = |bytes: usize| {
        // A custom section (id 0) of zeros fills a module up to the byte; its name is empty.
        let mut wasm = well_behaved();
        let mut content = bytes - wasm.len() - 1 - 3;
        wasm.push(0);
        for last in [false, false, true] {
            wasm.push(u8::try_from(content & 0x7f).unwrap() | if last { 0 } else { 0x80 });
            content >>= 7;
        }
        wasm.resize(bytes, 0);
        wasm
    };
    server.upload(IDENTITY, of_size(MAX_UPLOAD + 1)).await.is_problem(413, "TOO_LARGE");
    let far_over = vec![0; MAX_UPLOAD + (1 << 20)];
    server.upload(IDENTITY, far_over).await.is_problem(413, "TOO_LARGE");
    server.is_untouched().await;
    assert_eq!(server.upload(IDENTITY, of_size(MAX_UPLOAD)).await.status, 201);
    server.stop().await;
}

#[tokio::test]
async fn a_plugin_has_a_name_and_a_version() {
    let server = Server::start().await;
    let cases = [
        ("", "PLUGIN_UNNAMED"),
        ("?name=team/echo", "PLUGIN_UNNAMED"),
        ("?name=echo&version=1.0.0", "PLUGIN_NAME_INVALID"),
        ("?name=Team/Echo&version=1.0.0", "PLUGIN_NAME_INVALID"),
        ("?name=team/echo&version=one", "PLUGIN_VERSION_INVALID"),
    ];
    for (query, code) in cases {
        server.upload(query, well_behaved()).await.is_problem(422, code);
    }
    let unknown = server.upload("?colour=red", well_behaved()).await;
    unknown.is_problem(400, "REQUEST_INVALID");
    server.is_untouched().await;
    server.stop().await;
}

#[tokio::test]
async fn a_versions_bytes_never_change() {
    let server = Server::start().await;
    let first = server.upload(IDENTITY, well_behaved()).await;
    assert_eq!((first.status, &first.body["name"]), (201, &json!("team/echo")));
    let again = server.upload(IDENTITY, well_behaved()).await;
    assert_eq!((again.status, &again.body["digest"]), (200, &first.body["digest"]));
    let other = server.upload(IDENTITY, crate::guests::babbling()).await;
    other.is_problem(409, "CONFLICT");
    let kept = server.get("/api/plugins/team/echo/1.0.0").await;
    assert_eq!(kept.body["digest"], first.body["digest"]);
    assert_eq!(
        server.get("/api/plugins/team/echo").await.body["items"].as_array().unwrap().len(),
        1
    );
    server.get("/api/plugins/team/echo/2.0.0").await.is_problem(404, "NOT_FOUND");
    server.get("/api/plugins/team/absent").await.is_problem(404, "NOT_FOUND");
    server.stop().await;
}
