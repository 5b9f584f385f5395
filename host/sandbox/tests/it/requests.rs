//! Requests of guests: to what was granted, and to nothing else, with a receipt of each.

use std::{collections::BTreeSet, sync::Arc};

use egress::{Caps, Egress, EgressSettings, Grant, Party, Private};
use engine::{attempt::LogLevel, capability::CapabilityKind};
use serde_json::{Value, json};
use stateflow_sandbox::{PluginCall, PluginReport, Reach, Sandbox};
use testing::guests::{Sending, sending};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::bench::{LIMITS, admit, call_of, output, sandbox};

const MANIFEST: &str = r#"{"name":"demo/guest","version":"1.0.0"}"#;

const DENIED: i32 = 100;
const INVALID: i32 = 101;
const TOO_LARGE: i32 = 104;

/// Answers every request with this.
pub(crate) async fn serve(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // The beginning is enough: the answer is the same for all.
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
pub(crate) const ELSEWHERE: &str = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

pub(crate) fn reach(rules: &[&str]) -> Reach {
    reach_within(rules, Caps::default())
}

pub(crate) fn reach_within(rules: &[&str], caps: Caps) -> Reach {
    let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    let party = Party { name: "plugin demo/ask".into(), rules };
    let private = Private::loopback();
    let grant = Grant::new(vec![party], private, caps).unwrap();
    Reach { egress: Egress::new(EgressSettings::default()).unwrap(), grant: Arc::new(grant) }
}

async fn ask(sandbox: &Sandbox, asked: &Sending<'_>, reach: Option<Reach>) -> PluginReport {
    let admitted = admit(sandbox, &sending(MANIFEST, asked)).await;
    assert_eq!(admitted.capabilities, BTreeSet::from([CapabilityKind::Http]));
    let call = PluginCall { reach, ..call_of(Value::Null, LIMITS) };
    sandbox.call(&admitted.prepared, call).await
}

#[tokio::test]
async fn a_granted_request_is_answered_and_leaves_a_receipt() {
    let port = serve(OK).await;
    let url = format!("http://127.0.0.1:{port}/path?token=hush");
    let rule = format!("http://127.0.0.1:{port}");
    let asked = Sending { method: "POST", url: &url, body: 5, secret: None };
    let report = ask(&sandbox(), &asked, Some(reach(&[&rule]))).await;
    assert_eq!(output(&report), &json!(200));
    let line = &report.report.logs[0];
    assert_eq!(line.level, LogLevel::Debug);
    let receipt = &line.fields["egress"];
    assert_eq!((&receipt["status"], &receipt["port"]), (&json!(200), &json!(port)));
    assert!(!json!(report.report.logs).to_string().contains("hush"));
}

#[tokio::test]
async fn nothing_is_reached_without_a_grant_and_the_log_names_the_rule_that_would_do() {
    let port = serve(OK).await;
    let url = format!("http://127.0.0.1:{port}/");
    let asked = Sending { method: "GET", url: &url, body: 0, secret: None };
    for reach in [None, Some(reach(&[])), Some(reach(&["https://127.0.0.1"]))] {
        let report = ask(&sandbox(), &asked, reach).await;
        assert_eq!(output(&report), &json!(DENIED));
        let line = &report.report.logs[0];
        assert!(line.message.contains(&format!("http://127.0.0.1:{port}")), "{}", line.message);
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let port = serve(ELSEWHERE).await;
    let url = format!("http://127.0.0.1:{port}/");
    let asked = Sending { method: "GET", url: &url, body: 0, secret: None };
    let report = ask(&sandbox(), &asked, Some(reach(&["*://*:*"]))).await;
    assert_eq!(output(&report), &json!(302));
    assert_eq!(report.report.logs.len(), 1, "one request, one receipt");
}

#[tokio::test]
async fn metadata_services_are_not_reached_whatever_the_rules_say() {
    for url in ["http://169.254.169.254/", "http://[::ffff:169.254.169.254]/", "http://2852039166/"]
    {
        let asked = Sending { method: "GET", url, body: 0, secret: None };
        let report = ask(&sandbox(), &asked, Some(reach(&["*://*:*"]))).await;
        assert_eq!(output(&report), &json!(DENIED), "{url}");
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_to_the_guest() {
    let reach = reach(&["*://*:*"]);
    for (method, url) in
        [("G E T", "http://127.0.0.1/"), ("GET", "nowhere"), ("GET", "file:///etc/passwd")]
    {
        let report =
            ask(&sandbox(), &Sending { method, url, body: 0, secret: None }, Some(reach.clone()))
                .await;
        assert_eq!(output(&report), &json!(INVALID), "{method} {url}");
    }
}

#[tokio::test]
async fn a_body_is_sent_up_to_its_cap() {
    let port = serve(OK).await;
    let url = format!("http://127.0.0.1:{port}/");
    let cap = usize::try_from(Caps::default().request_bytes).unwrap();
    for (body, answer) in [(cap - 1, 200), (cap, 200), (cap + 1, TOO_LARGE)] {
        let asked = Sending { method: "PUT", url: &url, body, secret: None };
        let report = ask(&sandbox(), &asked, Some(reach(&["*://*:*"]))).await;
        assert_eq!(output(&report), &json!(answer), "{body}");
    }
}
