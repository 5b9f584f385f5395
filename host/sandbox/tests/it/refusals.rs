//! Uploads that cannot run here, each told what to do instead.

use stateflow_sandbox::Sandbox;

use crate::{
    bench::{config, refusal, sandbox},
    guests::{minimal, program, wat},
};

fn importing(module: &str, name: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module (import "{module}" "{name}" (func)) (memory (export "memory") 1)
            (func (export "_start")))"#
    ))
}

fn component_importing(name: &str) -> Vec<u8> {
    wat(&format!(
        r#"(component (import "{name}" (instance))
            (core module $m (func (export "run") (result i32) (i32.const 0)))
            (core instance $i (instantiate $m))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $cli (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $cli)))"#
    ))
}

async fn assert_refused(wasm: &[u8], code: &str, hint: &str) {
    let (actual, sentence) = refusal(&sandbox(), wasm).await;
    assert_eq!(actual, code, "{sentence}");
    assert!(sentence.contains(hint), "{sentence}");
}

#[tokio::test]
async fn bytes_that_are_not_wasm() {
    assert_refused(b"", "PLUGIN_EMPTY", ".wasm file").await;
    assert_refused(b"(module)", "PLUGIN_NOT_WASM", "neither text format").await;
    assert_refused(b"\x1f\x8b\x08", "PLUGIN_NOT_WASM", "nor compressed").await;
}

#[tokio::test]
async fn a_file_that_was_cut_off() {
    let whole = program("", "");
    for length in [4, 7, whole.len() / 2, whole.len() - 1] {
        assert_refused(&whole[..length], "PLUGIN_MALFORMED", "upload it again").await;
    }
}

#[tokio::test]
async fn a_file_over_the_upload_limit() {
    let guest = program("", "");
    let mut config = config();
    config.max_upload_bytes = guest.len();
    assert!(Sandbox::new(config.clone()).unwrap().admit("default", &guest).await.is_ok());
    config.max_upload_bytes = guest.len() - 1;
    let (code, sentence) = refusal(&Sandbox::new(config).unwrap(), &guest).await;
    assert_eq!(code, "PLUGIN_TOO_LARGE", "{sentence}");
}

#[tokio::test]
async fn machine_code() {
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_module(b"\0asm\x01\0\0\0").unwrap();
    assert_refused(&code, "PLUGIN_PRECOMPILED", "never run").await;
}

#[tokio::test]
async fn builds_for_the_browser() {
    for module in ["wbg", "__wbindgen_placeholder__", "__wbindgen_externref_xform__"] {
        assert_refused(&importing(module, "f"), "PLUGIN_BROWSER_BUILD", "Rust SDK").await;
    }
    assert_refused(&importing("./x_bg.js", "__wbindgen_throw"), "PLUGIN_BROWSER_BUILD", "wasip1")
        .await;
    assert_refused(&importing("gojs", "runtime.wasmExit"), "PLUGIN_GOJS", "GOOS=wasip1").await;
    let emscripten = importing("env", "emscripten_memcpy_js");
    assert_refused(&emscripten, "PLUGIN_EMSCRIPTEN", "STANDALONE_WASM").await;
}

#[tokio::test]
async fn imports_that_nobody_provides() {
    assert_refused(&importing("env", "abort"), "PLUGIN_UNKNOWN_IMPORT", "env.abort").await;
    assert_refused(&importing("wasi_unstable", "fd_write"), "PLUGIN_WASI_UNSTABLE", "wasip1").await;
}

#[tokio::test]
async fn threads() {
    let shared = wat(r#"(module (memory (export "memory") 1 1 shared) (func (export "_start")))"#);
    assert_refused(&shared, "PLUGIN_THREADS", "threads").await;
    let imported =
        wat(r#"(module (import "env" "memory" (memory 1 1 shared)) (func (export "_start")))"#);
    assert_refused(&imported, "PLUGIN_THREADS", "threads").await;
}

#[tokio::test]
async fn capabilities_that_are_not_there_are_named() {
    let sockets = component_importing("wasi:sockets/tcp@0.2.3");
    assert_refused(&sockets, "PLUGIN_CAPABILITY_UNAVAILABLE", "wasi:sockets/tcp@0.2.3").await;
    assert_refused(&sockets, "PLUGIN_CAPABILITY_UNAVAILABLE", "stateflow:plugin/http").await;
    let unknown = component_importing("acme:things/stuff");
    assert_refused(&unknown, "PLUGIN_CAPABILITY_UNAVAILABLE", "acme:things/stuff").await;
}

#[tokio::test]
async fn nothing_to_call() {
    assert_refused(&wat("(module)"), "PLUGIN_NO_ENTRY", "_start").await;
    assert_refused(&wat("(component)"), "PLUGIN_NO_ENTRY", "wasi:cli/run").await;
    let other = wat(r#"(module (memory (export "memory") 1) (func (export "main")))"#);
    assert_refused(&other, "PLUGIN_NO_ENTRY", "run").await;
}

#[tokio::test]
async fn an_entry_with_the_wrong_signature() {
    let core = wat(r#"(module (memory (export "memory") 1) (func (export "run") (param i64)))"#);
    assert_refused(&core, "PLUGIN_NOT_ADAPTABLE", "run").await;
    let component = wat(r#"(component
        (core module $m (func (export "run")))
        (core instance $i (instantiate $m))
        (func (export "run") (canon lift (core func $i "run"))))"#);
    assert_refused(&component, "PLUGIN_INCOMPATIBLE", "stateflow:plugin@1").await;
}

#[tokio::test]
async fn invalid_code() {
    let text = r#"(module (memory (export "memory") 1) (func (export "_start") (drop (i32.add))))"#;
    assert_refused(&wat(text), "PLUGIN_INVALID", "not valid").await;
}

#[tokio::test]
async fn proposals_that_are_switched_off() {
    let wide = r#"(module (memory (export "memory") i64 1) (func (export "_start")))"#;
    assert_refused(&wat(wide), "PLUGIN_INVALID", "memory64").await;
}

#[tokio::test]
async fn more_memory_at_the_start_than_anybody_gets() {
    let mut config = config();
    config.ceilings.memory_bytes = 64 << 20;
    let sandbox = Sandbox::new(config).unwrap();
    let fits = minimal("(memory $other 1023)", "");
    assert!(sandbox.admit("default", &fits).await.is_ok());
    let (code, sentence) = refusal(&sandbox, &minimal("(memory $other 1024)", "")).await;
    assert_eq!(code, "PLUGIN_MEMORY_LIMIT", "{sentence}");
}

#[tokio::test]
async fn shapes_that_make_compilers_slow() {
    let nested = format!("{}{}", "(block ".repeat(1001), ")".repeat(1001));
    let locals = format!("(func (local {}))", "i32 ".repeat(2001));
    let branches = format!("(func (block (br_table {} (i32.const 0))))", "0 ".repeat(20_002));
    let wide = format!("(func {})", "(block) ".repeat(16_001));
    let tables = "(table 50001 funcref)".to_owned();
    let many = "(table 1 funcref)".repeat(17);
    let big = format!("(func {})", "(drop (i64.const 9000000000000000000))".repeat(50_000));
    for (what, items, body) in [
        ("nesting", "", nested.as_str()),
        ("locals", &locals, ""),
        ("branches", &branches, ""),
        ("blocks", &wide, ""),
        ("table elements", &tables, ""),
        ("tables", &many, ""),
        ("body", &big, ""),
    ] {
        let (code, sentence) = refusal(&sandbox(), &minimal(items, body)).await;
        assert_eq!(code, "PLUGIN_TOO_COMPLEX", "{what}: {sentence}");
    }
}

#[tokio::test]
async fn too_many_functions() {
    let mut config = config();
    let guest = minimal("(func) (func)", "");
    config.shape.functions = 5;
    assert!(Sandbox::new(config.clone()).unwrap().admit("default", &guest).await.is_ok());
    config.shape.functions = 4;
    let (code, sentence) = refusal(&Sandbox::new(config).unwrap(), &guest).await;
    assert_eq!(code, "PLUGIN_TOO_COMPLEX", "{sentence}");
}
