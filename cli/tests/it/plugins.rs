//! `stateflow plugin`: from a folder to a version in use, with modules that need no toolchain.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::signature::Statement;
use serde_json::{Value, json};
use testing::guests::{Sending, sending};

use crate::development::{Dev, STATEFLOW};

/// For plugins that are not run.
const NOWHERE: &str = "http://127.0.0.1:1/";

/// A one-function plugin that answers with this text, and says no more of itself.
fn answering(text: &str) -> Vec<u8> {
    let source = format!(
        r#"(module
            (@producers (language "wat" "1.0"))
            (memory (export "memory") 1)
            (global $heap (mut i32) (i32.const 4096))
            (data (i32.const 1024) {text:?})
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (global.get $heap)
                (global.set $heap (i32.add (global.get $heap) (local.get $size))))
            (func (export "run") (param i32 i32) (result i32)
                (i32.store (i32.const 20) (i32.const 1024))
                (i32.store (i32.const 24) (i32.const {length}))
                (i32.const 16)))"#,
        length = text.len(),
    );
    wat::parse_str(source).unwrap()
}

/// A plugin of the world `step` that asks for this URL, and answers the status, or 100 if there was none.
fn asking(version: &str, url: &str) -> Vec<u8> {
    asking_with(version, url, None)
}

/// The same, with what stands for a secret in the header `x-key`.
fn asking_with(version: &str, url: &str, secret: Option<&str>) -> Vec<u8> {
    let manifest = json!({ "name": "acme/ask", "version": version }).to_string();
    sending(&manifest, &Sending { method: "GET", url, secret, ..Sending::default() })
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A command that needs no server.
fn plugin(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(STATEFLOW);
    command.arg("plugin").args(arguments).current_dir(folder).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_plugin_runs_here_as_it_would_on_a_server() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.wasm", answering(r#"{"a":1}"#));
    write(folder.path(), "bad.wasm", answering("no JSON"));
    let good = plugin(&["run", "good.wasm", "--input", "{}"], folder.path());
    assert!(good.status.success(), "{}", err(&good));
    assert_eq!(serde_json::from_str::<Value>(&out(&good)).unwrap(), json!({ "a": 1 }));
    assert!(err(&good).contains(" fuel, "), "{}", err(&good));
    let bad = plugin(&["run", "bad.wasm"], folder.path());
    assert_eq!((bad.status.code(), out(&bad).as_str()), (Some(1), ""));
    assert!(err(&bad).contains("error: PLUGIN_ERROR"), "{}", err(&bad));
    let starved = plugin(&["run", "good.wasm", "--fuel", "1"], folder.path());
    assert!(err(&starved).contains("FUEL_EXHAUSTED"), "{}", err(&starved));
    assert_eq!(plugin(&["run", "good.wasm", "--input", "{"], folder.path()).status.code(), Some(2));
}

/// Answers every request with 200, and hands on how it begins.
fn serve() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut beginning) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut beginning).unwrap();
            // Nobody may listen.
            let _ = tell.send(String::from_utf8_lossy(&beginning[..length]).into_owned());
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
        }
    });
    (port, heard)
}

#[test]
fn a_plugin_that_runs_here_reaches_what_is_named_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let origin = format!("http://127.0.0.1:{}", serve().0);
    write(folder.path(), "ask.wasm", asking("1.0.0", &origin));
    let naming = |hosts: &[&str]| {
        let manifest = json!({ "capabilities": { "hosts": hosts } });
        write(folder.path(), "stateflow.plugin.json", manifest.to_string());
    };
    let answer = |more: &[&str]| {
        let run = plugin(&[&["run", "ask.wasm"], more].concat(), folder.path());
        (out(&run).trim().to_owned(), run.status.code())
    };
    naming(&[]);
    assert_eq!(answer(&[]), ("100".to_owned(), Some(0)));
    assert_eq!(answer(&["--allow-host", "http://127.0.0.2:1"]), ("100".to_owned(), Some(0)));
    assert_eq!(answer(&["--allow-host", &origin]), ("200".to_owned(), Some(0)));
    assert_eq!(answer(&["--allow-host", "no rule"]), (String::new(), Some(2)));
    naming(&[&origin]);
    assert_eq!(answer(&[]), ("200".to_owned(), Some(0)));
}

#[test]
fn a_plugin_that_runs_here_sends_secrets_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let (port, heard) = serve();
    let origin = format!("http://127.0.0.1:{port}");
    write(folder.path(), "ask.wasm", asking_with("1.0.0", &origin, Some("api-key")));
    let capabilities = json!({ "hosts": [&origin], "secrets": ["api-key"] });
    let manifest = json!({ "capabilities": capabilities }).to_string();
    write(folder.path(), "stateflow.plugin.json", manifest);
    write(folder.path(), "key.txt", "correct-horse-battery\n");
    let run = plugin(&["run", "ask.wasm", "--secret", "api-key=@key.txt"], folder.path());
    assert_eq!(out(&run).trim(), "200", "{}", err(&run));
    let request = heard.recv().unwrap();
    assert!(request.contains("x-key: correct-horse-battery\r\n"), "{request}");
    assert!(!err(&run).contains("correct-horse"), "{}", err(&run));
    for (bad, code) in
        [("api-key=correct-horse", 2), ("1x=@key.txt", 2), ("api-key=@absent.txt", 1)]
    {
        let run = plugin(&["run", "ask.wasm", "--secret", bad], folder.path());
        assert_eq!(run.status.code(), Some(code), "{bad}: {}", err(&run));
    }
}

#[test]
fn a_check_tells_each_problem_with_its_code_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "text.wasm", "hello");
    write(folder.path(), "ask.wasm", asking("1.0.0", NOWHERE));
    let text = plugin(&["check", "text.wasm"], folder.path());
    assert_eq!(text.status.code(), Some(1));
    assert!(out(&text).contains("PLUGIN_NOT_WASM"), "{}", out(&text));
    let unnamed = plugin(&["check", "ask.wasm"], folder.path());
    assert_eq!(unnamed.status.code(), Some(1));
    assert!(out(&unnamed).contains("/capabilities/hosts CAPABILITY_MISMATCH"), "{}", out(&unnamed));
    assert!(out(&unnamed).contains("help: "), "{}", out(&unnamed));
    let hosts = json!({ "capabilities": { "hosts": ["https://api.example.com"] } });
    let manifest = write(folder.path(), "stateflow.plugin.json", hosts.to_string());
    let named = plugin(&["check", "ask.wasm"], folder.path());
    assert!(named.status.success(), "{}", out(&named));
    assert!(out(&named).contains("http https://api.example.com"), "{}", out(&named));
    fs::write(&manifest, r#"{ "nmae": "acme/ask" }"#).unwrap();
    assert_eq!(plugin(&["check", "ask.wasm"], folder.path()).status.code(), Some(2));
}

#[test]
fn a_new_folder_is_complete_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    for language in ["rust", "c", "js", "zig", "python", "go"] {
        let name = format!("acme/x-{language}");
        let made = plugin(&["new", &name, "--lang", language], folder.path());
        assert!(made.status.success(), "{}", err(&made));
        let new = folder.path().join(format!("x-{language}"));
        let manifest = fs::read_to_string(new.join("stateflow.plugin.json")).unwrap();
        let manifest: Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["language"], language);
        let readme = fs::read_to_string(new.join("README.md")).unwrap();
        assert!(readme.contains(&name) && !readme.contains("{{"), "{readme}");
        assert_eq!(
            plugin(&["new", &name, "--lang", language], folder.path()).status.code(),
            Some(2)
        );
    }
    assert_eq!(plugin(&["new", "No Name", "--lang", "c"], folder.path()).status.code(), Some(2));
    assert_eq!(plugin(&["build"], folder.path()).status.code(), Some(2));
}

#[test]
fn a_new_rust_plugin_brings_the_whole_sdk() {
    let folder = tempfile::tempdir().unwrap();
    assert!(plugin(&["new", "acme/x", "--lang", "rust"], folder.path()).status.success());
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/rust/src");
    let brought = folder.path().join("x/stateflow/rust/src");
    let mut names: Vec<_> =
        fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() > 3, "{names:?}");
    for source in names {
        let copy = brought.join(source.file_name().unwrap());
        assert_eq!(fs::read(&source).unwrap(), fs::read(&copy).unwrap_or_default(), "{copy:?}");
    }
}

#[test]
fn an_operator_s_limits_of_plugins_hold_for_check_too() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "x.wasm", answering("1"));
    let checked = |limits: &str| {
        let file = write(folder.path(), "build.json", limits);
        let mut command = Command::new(STATEFLOW);
        command.args(["plugin", "check", "x.wasm"]).current_dir(folder.path());
        command.env("STATEFLOW_PLUGIN_BUILD", file).output().unwrap()
    };
    // Two functions: as many as may be, and one more.
    assert!(checked(r#"{ "shape": { "functions": 2 } }"#).status.success());
    let refused = checked(r#"{ "shape": { "functions": 1 } }"#);
    assert_eq!(refused.status.code(), Some(1));
    assert!(out(&refused).contains("PLUGIN_TOO_COMPLEX"), "{}", out(&refused));
    assert_eq!(checked(r#"{ "shapes": {} }"#).status.code(), Some(2));
}

#[test]
fn a_secret_key_is_for_its_owner_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let made = plugin(&["keygen", "key"], folder.path());
    assert!(made.status.success(), "{}", err(&made));
    let path = folder.path().join("key");
    let secret = fs::read_to_string(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_ne!(out(&made), secret);
    assert_eq!(plugin(&["keygen", "key"], folder.path()).status.code(), Some(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), secret);
}

#[test]
fn files_are_inspected_compared_and_signed_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "old.wasm", answering("1"));
    write(folder.path(), "new.wasm", answering("12"));
    let manifest = json!({ "name": "acme/x", "version": "1.0.0", "description": "X" });
    write(folder.path(), "stateflow.plugin.json", manifest.to_string());
    let shown: Value =
        serde_json::from_str(&out(&plugin(&["inspect", "old.wasm"], folder.path()))).unwrap();
    assert_eq!(shown["producers"], json!({ "language": { "wat": "1.0" } }));
    assert_eq!((&shown["name"], &shown["kind"]), (&json!("acme/x"), &json!("minimal")));
    let difference = out(&plugin(&["diff", "old.wasm", "new.wasm"], folder.path()));
    assert!(difference.contains("added    none") && difference.contains("sizes: "), "{difference}");

    let public = out(&plugin(&["keygen", "key"], folder.path()));
    let signed = plugin(&["--json", "sign", "old.wasm", "--key", "key"], folder.path());
    let signed: Value = serde_json::from_str(&out(&signed)).unwrap();
    assert_eq!(signed["about"]["digest"], shown["digest"]);
    let signature = BASE64_STANDARD.decode(signed["signature"].as_str().unwrap()).unwrap();
    let digest = shown["digest"].as_str().unwrap();
    let about = Statement { name: "acme/x", version: "1.0.0", digest };
    assert_eq!(about.verify(public.trim(), &signature), Ok(()));
    let other = Statement { version: "1.0.1", ..about };
    assert!(other.verify(public.trim(), &signature).is_err());
}

#[test]
fn a_version_waits_is_approved_signed_compared_and_yanked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let dev = Dev::start(folder.path());
    let says = |arguments: &[&str]| {
        let output = dev.client(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", err(&output));
        out(&output) + &err(&output)
    };
    for (version, host) in [("1.0.0", "a"), ("1.1.0", "b")] {
        write(folder.path(), &format!("{version}.wasm"), asking(version, NOWHERE));
        let hosts = json!({ "capabilities": { "hosts": [format!("https://{host}.example")] } });
        write(folder.path(), &format!("{version}.json"), hosts.to_string());
    }
    let pushed = says(&["plugin", "push", &path("1.0.0.wasm"), "--manifest", &path("1.0.0.json")]);
    assert!(pushed.contains("plugin approve acme/ask@1.0.0 --by"), "{pushed}");
    let unasked = dev.client(&["plugin", "approve", "acme/ask@1.0.0", "--by", "ada"]);
    assert_eq!(unasked.status.code(), Some(2));
    let approved = says(&["plugin", "approve", "acme/ask@1.0.0", "--by", "ada", "--yes"]);
    assert!(approved.contains("http https://a.example"), "{approved}");
    assert!(approved.contains("acme/ask@1.0.0 is active"), "{approved}");

    let public = out(&dev.client(&["plugin", "keygen", &path("key")]));
    let keys = json!([{ "id": "ci", "publicKey": public.trim() }]);
    let policy = json!({ "plugins": { "signatures": { "required": 1, "keys": keys } } });
    write(folder.path(), "policy.json", policy.to_string());
    says(&["policy", "set", &path("policy.json"), "--by", "ada"]);
    assert!(says(&["policy", "show"]).contains(public.trim()));
    says(&["plugin", "push", &path("1.1.0.wasm"), "--manifest", &path("1.1.0.json")]);
    let half = says(&["plugin", "approve", "acme/ask@1.1.0", "--by", "ada", "--yes"]);
    assert!(half.contains("waits for 1 more signature"), "{half}");
    let signed =
        says(&["plugin", "sign", "acme/ask@1.1.0", "--key", &path("key"), "--key-id", "ci"]);
    assert!(signed.contains("is active"), "{signed}");

    let difference = says(&["plugin", "diff", "acme/ask@1.0.0", "acme/ask@1.1.0"]);
    assert!(difference.contains("added    http https://b.example"), "{difference}");
    let yank = ["plugin", "yank", "acme/ask@1.1.0", "--by", "ada", "--reason", "wrong host"];
    assert!(says(&yank).contains("is yanked"));
    assert!(says(&["plugin", "list"]).contains("yanked"));
    let would = ["plugin", "collect", "--by", "ada", "--yanked-for-ms", "0", "--dry-run"];
    assert!(says(&would).contains("acme/ask@1.1.0"));
    assert!(says(&["audit"]).contains("wrong host"));
    dev.interrupt();
}
