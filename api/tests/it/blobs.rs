//! Payloads that are too large for JSON: over the API, and between plugins.

use reqwest::Method;
use serde_json::json;
use testing::guests::step;

use crate::server::{Server, send};

const MIB: usize = 1 << 20;

/// Bytes that tell their place.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

async fn put(server: &Server, body: Vec<u8>) -> crate::server::Answer {
    send(server.request(Method::POST, "/api/blobs").body(body)).await
}

async fn fetch(server: &Server, reference: &str) -> Vec<u8> {
    let answer = server.request(Method::GET, &format!("/api/blobs/{reference}")).send().await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-disposition"], "attachment");
    answer.bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_comes_back_and_is_kept_once() {
    let server = Server::start().await;
    for length in [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7] {
        let kept = put(&server, bytes(length)).await;
        assert_eq!((kept.status, &kept.body["bytes"]), (201, &json!(length)), "{kept:?}");
        let reference = kept.body["reference"].as_str().unwrap();
        assert!(fetch(&server, reference).await == bytes(length), "{length}");
        assert_eq!(put(&server, bytes(length)).await.body["reference"], reference);
    }
    let blobs = server.number("select count(*) from stateflow.blobs").await;
    let counted = server.number("select blob_bytes from stateflow.namespaces").await;
    let stored = "select sum(length(piece))::bigint from stateflow.blob_pieces";
    assert_eq!((blobs, counted), (6, server.number(stored).await));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_deleted_is_gone_and_its_room_is_free() {
    let server = Server::start().await;
    let kept = put(&server, bytes(MIB)).await;
    let path = format!("/api/blobs/{}", kept.body["reference"].as_str().unwrap());
    assert_eq!(send(server.request(Method::DELETE, &path)).await.status, 204);
    server.get(&path).await.is_problem(404, "NOT_FOUND");
    send(server.request(Method::DELETE, &path)).await.is_problem(404, "NOT_FOUND");
    assert_eq!(server.number("select blob_bytes from stateflow.namespaces").await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_reference_is_refused() {
    let server = Server::start().await;
    for bad in ["x", "blob:sha256:00", "sha256:00"] {
        server.get(&format!("/api/blobs/{bad}")).await.is_problem(400, "REQUEST_INVALID");
    }
    let absent = format!("/api/blobs/blob:sha256:{}", "0".repeat(64));
    server.get(&absent).await.is_problem(404, "NOT_FOUND");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_too_large_or_finds_no_room_leaves_nothing() {
    let server = Server::start().await;
    // The servers of these tests keep 66 MiB of blobs for a namespace.
    let counted = "select blob_bytes from stateflow.namespaces";
    put(&server, bytes(64 * MIB + 1)).await.is_problem(413, "TOO_LARGE");
    assert_eq!(server.number(counted).await, 0);
    assert_eq!(put(&server, bytes(64 * MIB)).await.status, 201);
    put(&server, bytes(3 * MIB)).await.is_problem(409, "BLOBS_FULL");
    assert_eq!(put(&server, bytes(2 * MIB)).await.status, 201);
    assert_eq!(server.number("select count(*) from stateflow.blobs").await, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_and_never_finished_goes() {
    let server = Server::start().await;
    let counted = "select blob_bytes from stateflow.namespaces";
    let begun = async || {
        let mut writer = server.store.write_blob(store::DEFAULT_NAMESPACE, u64::MAX);
        writer.write(&bytes(MIB)).await.unwrap();
        assert_eq!(usize::try_from(server.number(counted).await), Ok(MIB));
        writer
    };
    drop(begun().await);
    let mut look = tokio::time::interval(std::time::Duration::from_millis(5));
    while server.number(counted).await > 0 {
        look.tick().await;
    }
    // The process that wrote it was killed.
    std::mem::forget(begun().await);
    let (day, none) = (std::time::Duration::from_hours(24), std::time::Duration::ZERO);
    assert_eq!(server.store.drop_unfinished_blobs(day).await.unwrap(), 0);
    assert_eq!(usize::try_from(server.number(counted).await), Ok(MIB));
    assert_eq!(server.store.drop_unfinished_blobs(none).await.unwrap(), 1);
    assert_eq!(server.number(counted).await, 0);
    server.stop().await;
}

const IMPORTS: &str = r#"
    (import "stateflow:plugin/blob@1.0.0" "[constructor]writer" (func $writer (result i32)))
    (import "stateflow:plugin/blob@1.0.0" "[method]writer.write" (func $write (param i32 i32 i32 i32)))
    (import "stateflow:plugin/blob@1.0.0" "[method]writer.finish" (func $finish (param i32 i32)))
    (import "stateflow:plugin/blob@1.0.0" "[static]blob.open" (func $open (param i32 i32 i32)))
    (import "stateflow:plugin/blob@1.0.0" "[method]blob.reference" (func $reference (param i32 i32)))
    (import "stateflow:plugin/blob@1.0.0" "[method]blob.read" (func $read (param i32 i64 i32 i32)))"#;

/// Writes 1.5 MiB of `x` in two parts and answers the reference; or, if its config has one as `of`, opens it and answers
/// six bytes from either side of the border between its pieces.
fn keeping() -> Vec<u8> {
    let body = "(if (i32.gt_u (local.get 13) (i32.const 70)) (then
            (call $open (i32.add (local.get 12) (i32.const 7)) (i32.const 76) (i32.const 512))
            (if (i32.load8_u (i32.const 512)) (then
                (return (call $say (i32.const 33) (i32.load (i32.const 516)) (i32.load (i32.const 520))))))
            (call $read (i32.load (i32.const 516)) (i64.const 1048573) (i32.const 6) (i32.const 512))
            (return (call $say (i32.const 46) (i32.load (i32.const 516)) (i32.load (i32.const 520))))))
        (local.set $number (call $writer))
        (memory.fill (i32.const 131072) (i32.const 120) (i32.const 786432))
        (call $write (local.get $number) (i32.const 131072) (i32.const 786432) (i32.const 512))
        (call $write (local.get $number) (i32.const 131072) (i32.const 786432) (i32.const 512))
        (call $finish (local.get $number) (i32.const 512))
        (if (i32.load8_u (i32.const 512)) (then
            (return (call $say (i32.const 33) (i32.load (i32.const 516)) (i32.load (i32.const 520))))))
        (call $reference (i32.load (i32.const 516)) (i32.const 512))
        (call $say (i32.const 46) (i32.load (i32.const 512)) (i32.load (i32.const 516)))";
    step(r#"{"name":"team/keep","version":"1.0.0"}"#, IMPORTS, "", body)
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_hand_on_by_reference_what_is_too_large_for_json() {
    let server = Server::working().await;
    let uploaded = server.upload("", keeping()).await;
    assert_eq!(uploaded.status, 201, "{uploaded:?}");
    let steps = json!([
        { "id": "write", "type": "team/keep@1.0.0", "config": {}, "output": "${result.substring(1)}", "next": "read" },
        { "id": "read", "type": "team/keep@1.0.0", "config": { "of": "${steps.write.output}" } },
    ]);
    server.publish("w", steps).await;
    let ended = server.run("w", json!({})).await;
    assert_eq!(ended["output"], ".xxxxxx", "{ended}");
    let path = format!("/api/executions/{}", ended["id"].as_str().unwrap());
    let steps = server.get(&path).await.body;
    let reference = steps["steps"][0]["output"].as_str().unwrap_or_else(|| panic!("{steps}"));
    assert!(fetch(&server, reference).await == vec![b'x'; 3 * MIB / 2]);
    server.stop().await;
}
