//! Bars, as people see them: there after a second, gone at the end, and nowhere but on a terminal.
//!
//! The server is one that answers when it is told to, so that a bar is there for as long as somebody looks at it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use axum::response::Json;
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::development::STATEFLOW;
use crate::terminal::Terminal;

const ID: &str = "01890000-0000-7000-8000-000000000000";
const COLUMNS: u16 = 80;

/// What holds answers back until it is opened.
#[derive(Clone)]
struct Gate(watch::Sender<bool>);

impl Gate {
    fn shut() -> Self {
        Self(watch::Sender::new(false))
    }

    fn open(&self) {
        self.0.send_replace(true);
    }

    fn is_open(&self) -> bool {
        *self.0.borrow()
    }

    async fn passed(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

/// Serves until the test ends. Where it is.
async fn serve(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

fn stateflow(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(STATEFLOW);
    command.args(arguments).env("STATEFLOW_URL", url).env("TERM", "xterm-256color");
    command.env("NO_COLOR", "1").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// An execution that waits until the gate is open.
fn execution(ended: &Gate) -> Value {
    if ended.is_open() {
        return json!({ "id": ID, "workflow": "w", "status": "succeeded" });
    }
    let steps = json!([{ "id": "rest", "status": "waiting" }]);
    json!({ "id": ID, "workflow": "w", "status": "waiting", "steps": steps })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_execution_sees_what_it_does() {
    let (started, ended) = (Gate::shut(), Gate::shut());
    let (start, look) = (started.clone(), ended.clone());
    let routes = Router::new()
        .route(
            "/api/workflows/w/execute",
            post(async move || {
                start.passed().await;
                (StatusCode::ACCEPTED, Json(json!({ "id": ID, "status": "running" })))
            }),
        )
        .route("/api/executions/{id}", get(async move || Json(execution(&look))));
    let url = serve(routes).await;
    let mut terminal = Terminal::run(stateflow(&url, &["run", "w", "--wait"]), COLUMNS);
    terminal.until(|screen| screen.contains("running w"));
    started.open();
    let screen = terminal.until(|screen| screen.contains("w waiting at step rest"));
    let lines: Vec<_> = screen.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, &*format!("waiting for {ID}")), "{screen}");
    ended.open();
    let left = terminal.end();
    assert_eq!(left.code, Some(0), "{}", left.screen);
    let result = json!({ "id": ID, "workflow": "w", "status": "succeeded" });
    assert_eq!(left.screen, format!("waiting for {ID}\n{result:#}"), "nothing else stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_says_how_much_has_gone_and_that_it_is_compiled() {
    let (taken, compiled) = (Gate::shut(), Gate::shut());
    let (take, compile) = (taken.clone(), compiled.clone());
    let upload = async move |body: Body| {
        // More than fits into the buffers between two processes waits on the other side.
        take.passed().await;
        to_bytes(body, usize::MAX).await.unwrap();
        compile.passed().await;
        let plugin = json!({ "name": "team/tool", "version": "1.0.0", "digest": "sha256:00" });
        (StatusCode::CREATED, Json(plugin))
    };
    let url = serve(Router::new().route("/api/plugins", post(upload))).await;
    let folder = tempfile::tempdir().unwrap();
    let module = folder.path().join("tool.wasm");
    std::fs::write(&module, vec![0; 64 << 20]).unwrap();
    let push = ["plugin", "push", module.to_str().unwrap(), "--name", "team/tool", "--version"];
    let command = stateflow(&url, &[&push[..], &["1.0.0"]].concat());
    let mut terminal = Terminal::run(command, COLUMNS);
    let screen = terminal.until(|screen| screen.contains("/64.00 MiB"));
    assert!(screen.starts_with("uploading "), "{screen}");
    assert!(!screen.contains(" 64.00 MiB/"), "it has not gone yet: {screen}");
    taken.open();
    terminal.until(|screen| {
        screen.starts_with("the server compiles it ") && screen.contains(" 64.00 MiB/64.00 MiB")
    });
    compiled.open();
    let left = terminal.end();
    assert_eq!(left.code, Some(0), "{}", left.screen);
    assert!(left.screen.starts_with("team/tool@1.0.0 sha256:00"), "{}", left.screen);
    assert!(!left.screen.contains("MiB/"), "the bar is gone: {}", left.screen);
}

/// What serves an action on three executions, from its beginning to its end.
fn action(ended: &Gate) -> Router {
    let answer = json!({ "id": ID, "status": "running", "matched": 3 });
    let begin = post(async move || (StatusCode::ACCEPTED, Json(answer)));
    following(ended).route("/api/executions/bulk", begin)
}

/// What says how far it is: it has come to one of them until the gate is open.
fn following(ended: &Gate) -> Router {
    let ended = ended.clone();
    let look = async move || {
        let (status, acted, skipped) =
            if ended.is_open() { ("done", 3, 1) } else { ("running", 1, 0) };
        Json(json!({ "id": ID, "status": status, "matched": 3, "acted": acted,
            "skipped": skipped, "failed": 0, "message": null }))
    };
    Router::new().route("/api/executions/bulk/{id}", get(look))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_on_many_says_how_many_it_has_come_to() {
    let ended = Gate::shut();
    let url = serve(action(&ended)).await;
    let command = stateflow(&url, &["bulk", "retry", ID, ID, ID, "--wait"]);
    let mut terminal = Terminal::run(command, COLUMNS);
    let screen = terminal.until(|screen| screen.contains(" 1/3"));
    assert!(screen.starts_with("retry ") && screen.lines().count() == 1, "{screen}");
    ended.open();
    let left = terminal.end();
    assert_eq!(left.code, Some(0), "{}", left.screen);
    assert_eq!(left.screen, "done: 3 of 3 executions, 1 skipped, 0 failed since");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_has_one_bar_at_a_time() {
    let ended = Gate::shut();
    let look = ended.clone();
    let matching = async move |Json(body): Json<Value>| {
        let matched = if body["filter"]["status"] == "waiting" && !look.is_open() { 3 } else { 0 };
        Json(json!({ "id": ID, "status": "running", "matched": matched }))
    };
    // This one knows of dry runs; how far the action has come, the other says.
    let routes = Router::new()
        .route("/api/executions/bulk", post(matching))
        .route("/api/dlq/purge", post(async || Json(json!({ "purged": 0 }))));
    let url = serve(routes.merge(following(&ended))).await;
    let mut terminal = Terminal::run(stateflow(&url, &["reset", "--yes"]), COLUMNS);
    let screen = terminal.until(|screen| screen.contains(" 1/3"));
    assert!(screen.starts_with("cancelling ") && screen.lines().count() == 1, "{screen}");
    assert_eq!(screen.matches("cancelling").count(), 1, "{screen}");
    ended.open();
    let left = terminal.end();
    assert_eq!(left.code, Some(0), "{}", left.screen);
    assert!(
        left.screen.starts_with("3 executions cancelled, 0 dead letters purged\n"),
        "{}",
        left.screen
    );
}

/// Looks until a bar would have been there for a while: two a second.
const MANY_LOOKS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn where_no_terminal_is_there_is_no_bar() {
    let looks = Arc::new(AtomicUsize::new(0));
    let ended = Gate::shut();
    let (count, end) = (looks.clone(), ended.clone());
    let routes = action(&ended).layer(axum::middleware::from_fn(
        move |request, next: axum::middleware::Next| {
            if count.fetch_add(1, Ordering::Relaxed) == MANY_LOOKS {
                end.open();
            }
            next.run(request)
        },
    ));
    let url = serve(routes).await;
    let mut command = stateflow(&url, &["bulk", "retry", ID, ID, ID, "--wait"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(looks.load(Ordering::Relaxed) > MANY_LOOKS, "it lasted for longer than a second");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "done: 3 of 3 executions, 1 skipped, 0 failed since\n");
}
