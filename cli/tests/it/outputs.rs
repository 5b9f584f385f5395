//! What commands that read say of a server with something on it, as snapshots that people read before they change.

use std::fmt::Write as _;

use insta::{Settings, assert_snapshot};

use crate::operator::Operator;

/// What differs from run to run, and what it is called instead.
const FILTERS: [(&str, &str); 19] = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[id]"),
    (r"sha256:[0-9a-f]{64}", "[digest]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
    (r"\b(\d+[smh] ago|now)\b", "[ago]"),
    (r"\b(ends )?in \d+[smh]\b", "$1[soon]"),
    (r"\bup (\d+[smh] ?)+", "up [took]"),
    (r#""durationMs": [\d.]+"#, r#""durationMs": "[took]""#),
    (r"\+?\d+(\.\d+)?(ms|s)\b", "[took]"),
    (r"\d+(\.\d+)? ms\b", "[took]"),
    (r"\d+ MiB of \d+ MiB", "[size] of [size]"),
    (r"\d+ bytes", "[size]"),
    // The figures may be a little old.
    (r"\d+ succeeded, \d+ failed, \d+ cancelled( \([\d.]+ % succeeded\))?", "[ended]"),
    (r"\d+ (ended within the hour)", "[n] $1"),
    (r"(?m)^rate( +)[\d.]+.*$", "rate$1[rate]"),
    (r"(?m)^failures .*\n", ""),
    (r"(\[id\] +)\S+ +\d+ +(\d+\.\d+\.\d+) +\d+", "$1[host] [pid] $2 [n]"),
    (r#""(ms|bytes)": \d+"#, r#""$1": "[n]""#),
    (r"\b[0-9a-f]{16}\b", "[key]"),
    // How wide columns are depends on all of it.
    (r"(\S)  +", "$1  "),
];

const ASKS: &str = r#"{ "name": "asks", "steps": [ { "id": "ask", "type": "approval",
    "config": { "message": "Pay 30 EUR?", "approvers": ["ada", "ben"], "count": 2 } } ] }"#;
const SPEAKS: &str = r#"{ "name": "speaks", "description": "Says hello.", "steps": [
    { "id": "say", "type": "log", "config": { "message": "Hello, ${input.name}!", "level": "warn" } } ],
    "output": { "said": true } }"#;

struct Recorder<'a> {
    operator: &'a Operator,
    settings: Settings,
}

impl Recorder<'_> {
    /// Runs commands, and compares what they print with the snapshot of a name.
    fn record(&self, name: &str, commands: &[&str]) {
        let mut text = String::new();
        for command in commands {
            let output = self.operator.shell(&format!("stateflow {command} 2>&1"));
            let code = output.status.code().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let code = if code == 0 { String::new() } else { format!("[exit code {code}]\n") };
            let _ = writeln!(text, "$ stateflow {command}\n{said}{code}");
        }
        self.settings.bind(|| assert_snapshot!(name, text));
    }
}

fn seeded(operator: &Operator) {
    let folder = operator.folder.path();
    std::fs::write(folder.join("asks.json"), ASKS).unwrap();
    std::fs::write(folder.join("speaks.json"), SPEAKS).unwrap();
    operator.succeeds("stateflow workflows push asks.json speaks.json");
    operator
        .succeeds("stateflow run speaks --input '{\"name\": \"Ada\"}' --label team=billing --wait");
    operator.succeeds("stateflow run asks");
    operator.succeeds(
        "printf 12345678 | stateflow secrets set key --destination https://api.example.com",
    );
    operator.succeeds("stateflow plugin yank team/tool@1.0.0 --by ada --reason 'has a bug'");
    operator.succeeds("until stateflow approvals | grep -q asks; do :; done");
    operator.succeeds(
        "until stateflow list --workflow rests --status waiting | grep -q rests; do :; done",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_say() {
    let operator = Operator::on_duty().await;
    let empty = Recorder { operator: &operator, settings: settings() };
    empty.record(
        "nothing-there",
        &["approvals", "secrets list", "audit", "profile list", "list --status paused"],
    );
    seeded(&operator);
    let it = Recorder { operator: &operator, settings: settings() };
    let id = |workflow: &str| {
        let list = operator.succeeds(&format!("stateflow list --workflow {workflow} --json"));
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list[0]["id"].as_str().unwrap().to_owned()
    };
    let (orders, rests, fan, speaks) = (id("orders"), id("rests"), id("fan"), id("speaks"));
    it.record("list", &["list", "list --limit 2", "list --label team=billing --json"]);
    for (name, id) in [("failed", &orders), ("waiting", &rests), ("fan", &fan), ("speaks", &speaks)]
    {
        it.record(&format!("status-{name}"), &[&format!("status {id}"), &format!("why {id}")]);
    }
    it.record("status-json", &[&format!("status {orders} --json")]);
    it.record(
        "logs",
        &[&format!("logs {speaks}"), &format!("logs {speaks} --json"), &format!("children {fan}")],
    );
    it.record("failures", &["failed", "failed --json", "incidents"]);
    it.record(
        "dlq",
        &["dlq list", &format!("dlq show {orders}"), "dlq redrive --all --dry-run", "dlq purge"],
    );
    it.record("people", &["approvals", "audit", "secrets list"]);
    it.record(
        "workflows",
        &[
            "workflows",
            "workflows show speaks",
            "workflows diff orders 1 2",
            "workflows diff orders 1 2 --json",
        ],
    );
    it.record("plugins", &["plugin list", "plugin inspect team/tool@1.0.0", "policy show"]);
    it.record("system", &["health", "metrics", "workers", "health --live", "health --ready"]);
    it.record("bulk", &["bulk cancel --status waiting --dry-run", "bulk retry", "bulk status"]);
    operator.succeeds(
        "mkdir defs && sed 's/Hello/Goodbye/' speaks.json >defs/speaks.json && cp asks.json defs",
    );
    operator.succeeds("sed 's/asks/new/' asks.json >defs/new.json");
    it.record(
        "apply",
        &["apply defs --dry-run", "apply defs --yes", "apply defs --dry-run --json"],
    );
    operator.succeeds(
        "stateflow profile add staging https://stateflow.example.com --token-command 'pass show x'",
    );
    it.record("profiles", &["profile list", "profile list --json", "--profile stagign list"]);
    it.record(
        "mistakes",
        &["status 1", "run nothing", "list --status lost", "dlq show 1", "explain NOTHING"],
    );
}

fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, name) in FILTERS {
        settings.add_filter(pattern, name);
    }
    settings.add_filter(&env!("CARGO_PKG_VERSION").replace('.', r"\."), "[version]");
    settings
}
