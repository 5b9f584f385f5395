//! What documents claim of workflows: inputs, and what comes of them.

use serde_json::{Value, json};

use crate::server::Server;

pub(crate) struct Claim {
    pub(crate) input: Value,
    outcome: Outcome,
}

enum Outcome {
    Gives(Value),
    FailsWith(String),
}

/// All claims of a text.
pub(crate) fn claims(text: &str) -> Vec<Claim> {
    text.lines().filter_map(claim).collect()
}

/// "- `INPUT` gives `OUTPUT`", or "- `INPUT` fails with `CODE`".
fn claim(line: &str) -> Option<Claim> {
    let quoted: Vec<_> = line.strip_prefix("- `")?.strip_suffix('`')?.split('`').collect();
    let [input, verb, outcome] = quoted[..] else { panic!("what does this claim? {line}") };
    let outcome = match verb {
        " gives " => Outcome::Gives(serde_json::from_str(outcome).unwrap()),
        " fails with " => Outcome::FailsWith(outcome.to_owned()),
        _ => panic!("what does this claim? {line}"),
    };
    Some(Claim { input: serde_json::from_str(input).unwrap(), outcome })
}

impl Claim {
    /// Runs the workflow, which has to give what is claimed.
    pub(crate) async fn holds(&self, server: &Server, workflow: &str) {
        let Self { input, outcome } = self;
        let ended = server.run(workflow, input.clone()).await;
        let (status, field, wanted) = match outcome {
            Outcome::Gives(output) => ("succeeded", &ended["output"], output.clone()),
            Outcome::FailsWith(code) => ("failed", &ended["error"]["code"], json!(code)),
        };
        let seen = (&ended["status"], field);
        assert_eq!(seen, (&json!(status), &wanted), "{workflow} {input}: {ended}");
    }
}
