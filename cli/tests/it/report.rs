//! The example plugin that writes a large report and waits for somebody to sign it off: from its source to the file that it
//! wrote.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::development::Dev;

/// A test gives up after this long.
const PATIENCE: Duration = Duration::from_mins(1);

fn stateflow(dev: &Dev, arguments: &[&str]) -> String {
    let done = dev.client(arguments);
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Asks again and again until the answer is as it should be.
fn until(dev: &Dev, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let answer = stateflow(dev, &[arguments, &["--json"]].concat());
        let answer = serde_json::from_str(&answer).unwrap();
        if wanted(&answer) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{arguments:?}: {answer}");
    }
}

#[test]
fn a_report_is_written_signed_off_and_fetched() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&folder.path().join("data"));
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("report.wasm"), testing::guests::example("report")).unwrap();
    stateflow(&dev, &["plugin", "push", &path("report.wasm")]);
    let config = json!({ "rows": 100_000, "event": "report.signed-off", "timeoutMs": 3_600_000, "restMs": 10 });
    let step = json!({ "id": "report", "type": "demo/report@^1", "config": config });
    fs::write(path("monthly.json"), json!({ "name": "monthly", "steps": [step] }).to_string())
        .unwrap();
    stateflow(&dev, &["workflows", "push", &path("monthly.json")]);
    let id = stateflow(&dev, &["run", "monthly"]);

    until(&dev, &["why", &id], |why| why["reason"]["type"] == "WAIT_EVENT");
    let log = stateflow(&dev, &["logs", &id]);
    let report = log.find("blob:sha256:").map(|at| log[at..at + 76].to_owned());
    let report = report.unwrap_or_else(|| panic!("{log}"));
    let data = json!({ "report": report }).to_string();
    stateflow(&dev, &["event", "report.signed-off", "--data", &data]);
    let ended = until(&dev, &["status", &id], |it| it["execution"]["finishedAt"].is_string());
    let ended = &ended["execution"];
    assert_eq!(
        (&ended["status"], &ended["output"]["report"]),
        (&json!("succeeded"), &json!(report))
    );

    stateflow(&dev, &["blob", "get", &report, "-o", &path("report.csv")]);
    let rows = fs::read_to_string(path("report.csv")).unwrap();
    assert_eq!(ended["output"]["bytes"], rows.len());
    assert_eq!((rows.lines().count(), rows.lines().last()), (100_000, Some("99999,9999800001")));
    assert_eq!(stateflow(&dev, &["blob", "put", &path("report.csv")]), report);
    dev.interrupt();
}
