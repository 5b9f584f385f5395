//! Which server a command talks to, with which token, and what it does when that one goes away. The servers are made up here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Router, serve};
use futures::StreamExt;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::development::STATEFLOW;

/// A user with a folder for settings, and with whatever is given in the environment.
fn stateflow(home: &TempDir, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(STATEFLOW);
    command.args(arguments).env("XDG_CONFIG_HOME", home.path());
    for name in ["STATEFLOW_URL", "STATEFLOW_TOKEN", "STATEFLOW_PROFILE"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A server on a port of its own; its URL.
async fn served(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { serve(listener, router).await.unwrap() });
    url
}

/// One that says which token it was shown.
async fn mirror(name: &'static str) -> String {
    let answer = async move |headers: HeaderMap| {
        let token = headers.get("authorization").map_or("none", |it| it.to_str().unwrap());
        Json(json!({ "status": format!("{name} {token}") }))
    };
    served(Router::new().route("/api/health/live", get(answer))).await
}

fn private(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_a_server_with_its_token() {
    let (home, one, two) = (tempfile::tempdir().unwrap(), mirror("one").await, mirror("two").await);
    let token = private(home.path(), "token", "from-file\n");
    let add = |arguments: &[&str]| {
        let output = stateflow(&home, &[], &[&["profile", "add"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
    };
    add(&["one", &one, "--token-file", &token]);
    add(&["two", &two, "--token-command", "echo from-command"]);
    let live = |environment: &[(&str, &str)], arguments: &[&str]| {
        let output = stateflow(&home, environment, &[arguments, &["health", "--live"]].concat());
        assert!(output.status.success(), "{output:?}");
        said(&output).trim().to_owned()
    };
    assert_eq!(live(&[], &[]), "one Bearer from-file");
    assert_eq!(live(&[("STATEFLOW_PROFILE", "two")], &[]), "two Bearer from-command");
    assert_eq!(
        live(&[("STATEFLOW_PROFILE", "two")], &["--profile", "one"]),
        "one Bearer from-file"
    );
    let elsewhere = [("STATEFLOW_URL", two.as_str())];
    assert_eq!(live(&elsewhere, &[]), "two none", "a token goes to its own server only");
    assert_eq!(live(&elsewhere, &["--profile", "one"]), "one Bearer from-file");
    assert_eq!(live(&[("STATEFLOW_TOKEN", "set")], &["--url", &two]), "two Bearer set");
    assert_eq!(live(&[], &["--profile", "two", "--token", "typed"]), "two Bearer typed");

    assert!(stateflow(&home, &[], &["profile", "use", "two"]).status.success());
    assert_eq!(live(&[], &[]), "two Bearer from-command");
    let listed = said(&stateflow(&home, &[], &["profile", "list"]));
    assert!(listed.lines().any(|it| it.starts_with('*') && it.contains("two")), "{listed}");
    assert!(stateflow(&home, &[], &["profile", "remove", "two"]).status.success());

    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let output = stateflow(&home, &[], &["--profile", "one", "health", "--live"]);
    assert!(
        output.status.code() == Some(1) && said(&output).contains("others can read"),
        "{output:?}"
    );
    let output = stateflow(&home, &[], &["--profile", "tow", "health"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = stateflow(&home, &[], &["--profile", "one", "--url", &two, "health"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_of_profiles_stops_only_who_needs_it() {
    let (home, url) = (tempfile::tempdir().unwrap(), mirror("one").await);
    fs::create_dir(home.path().join("stateflow")).unwrap();
    private(&home.path().join("stateflow"), "config.toml", "url = 1");
    let output = stateflow(&home, &[], &["health", "--live"]);
    assert!(output.status.code() == Some(1) && said(&output).contains("config.toml"), "{output:?}");
    assert!(stateflow(&home, &[], &["--url", &url, "health", "--live"]).status.success());
    assert!(stateflow(&home, &[], &["explain", "TIMEOUT"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_fails_only_if_the_system_does_not_work() {
    let home = tempfile::tempdir().unwrap();
    for (condition, status, code) in [
        ("healthy", StatusCode::OK, 0),
        ("degraded", StatusCode::OK, 0),
        ("unhealthy", StatusCode::SERVICE_UNAVAILABLE, 1),
    ] {
        let document = json!({ "status": condition, "version": "1", "uptime_seconds": 1,
            "checks": [{ "name": "database", "status": condition }], "alerts": [] });
        let answer = async move || (status, Json(document));
        let url = served(Router::new().route("/api/admin/health", get(answer))).await;
        let output = stateflow(&home, &[], &["--url", &url, "health"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(said(&output).starts_with(condition), "{output:?}");
    }
    let output = stateflow(&home, &[], &["--url", "http://127.0.0.1:1", "health"]);
    assert!(
        output.status.code() == Some(1) && said(&output).contains("no server at"),
        "{output:?}"
    );
}

/// A server whose streams break after two lines, and the queries that it was asked with.
#[derive(Clone, Default)]
struct Breaking {
    streams: Arc<AtomicUsize>,
    queries: Arc<Mutex<Vec<String>>>,
}

async fn log(State(server): State<Breaking>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    server.queries.lock().unwrap().push(query.clone());
    let first = 2 * server.streams.fetch_add(1, Ordering::SeqCst);
    let lines = (first..first + 2).map(|n| {
        let line = json!({ "step": "s", "attempt": 1, "level": "info", "message": format!("line {n}"),
            "fields": null, "loggedAt": "2027-01-31T08:00:00Z" });
        Ok(Bytes::from(format!("event: log\nid: 0.{n}\ndata: {line}\n\n")))
    });
    // The execution ends with the third stream; the second only stops, as that of a server that is told to.
    let end = (first == 4).then(|| Ok(Bytes::from("event: end\ndata: {}\n\n")));
    let lines: Vec<Result<Bytes, std::io::Error>> = lines.chain(end).collect();
    // What is sent together with its end may never leave.
    let broken = futures::stream::once(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        Err(std::io::Error::other("gone"))
    });
    let broken = broken.take(usize::from(first == 0));
    let body = Body::from_stream(futures::stream::iter(lines).chain(broken));
    ([("content-type", "text/event-stream")], body).into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_a_log_goes_on_after_the_last_line_that_it_has() {
    let (home, server) = (tempfile::tempdir().unwrap(), Breaking::default());
    let router = Router::new().route("/api/executions/x/logs", get(log));
    let url = served(router.with_state(server.clone())).await;
    let output = stateflow(&home, &[], &["--url", &url, "logs", "x", "--follow"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(lines, ["0", "1", "2", "3", "4", "5"], "{text}");
    let queries = server.queries.lock().unwrap().clone();
    let wanted = ["follow=true", "follow=true&cursor=0.1", "follow=true&cursor=0.3"];
    assert_eq!(queries, wanted);
}
