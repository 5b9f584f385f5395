//! The workflow guide: every example is published and run, and gives what the guide says.

use serde_json::{Value, json};

use crate::server::Server;

const GUIDE: &str = include_str!("../../../docs/guides/workflows.md");

/// A definition, and what stands under it: inputs, and what comes of them.
struct Example {
    definition: Value,
    claims: Vec<Claim>,
}

struct Claim {
    input: Value,
    outcome: Outcome,
}

enum Outcome {
    Gives(Value),
    FailsWith(String),
}

fn examples() -> Vec<Example> {
    let after_each = GUIDE.split("```json\n").skip(1);
    let parts = after_each.map(|part| part.split_once("```").unwrap());
    parts
        .map(|(definition, text)| Example {
            definition: serde_json::from_str(definition).unwrap(),
            claims: text.lines().filter_map(claim).collect(),
        })
        .collect()
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

#[tokio::test(flavor = "multi_thread")]
async fn every_example_gives_what_the_guide_says() {
    let server = Server::working().await;
    let examples = examples();
    assert!(examples.len() >= 6, "{} examples", examples.len());
    for Example { definition, claims } in examples {
        let name = definition["name"].as_str().unwrap();
        let answer = server.post("/api/workflows", &definition).await;
        assert_eq!(answer.status, 201, "{name}: {answer:?}");
        assert!(!claims.is_empty(), "nothing is claimed of {name}");
        for Claim { input, outcome } in claims {
            let ended = server.run(name, input.clone()).await;
            match outcome {
                Outcome::Gives(output) => {
                    assert_eq!(
                        (&ended["status"], &ended["output"]),
                        (&json!("succeeded"), &output),
                        "{name} {input}: {ended}"
                    );
                }
                Outcome::FailsWith(code) => {
                    assert_eq!(
                        (&ended["status"], &ended["error"]["code"]),
                        (&json!("failed"), &json!(code)),
                        "{name} {input}: {ended}"
                    );
                }
            }
        }
    }
    server.stop().await;
}
