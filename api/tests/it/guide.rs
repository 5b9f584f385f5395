//! The workflow guide: every example is published and run, and gives what the guide says.

use serde_json::Value;

use crate::claims::{Claim, claims};
use crate::server::Server;

const GUIDE: &str = include_str!("../../../docs/guides/workflows.md");

/// Where a newcomer begins.
const BEGINNINGS: [&str; 2] =
    [include_str!("../../../docs/quick-start.md"), include_str!("../../../README.md")];

/// A definition, and what stands under it: inputs, and what comes of them.
struct Example {
    definition: Value,
    claims: Vec<Claim>,
}

fn examples() -> Vec<Example> {
    let after_each = GUIDE.split("```json\n").skip(1);
    let parts = after_each.map(|part| part.split_once("```").unwrap());
    parts
        .map(|(definition, text)| Example {
            definition: serde_json::from_str(definition).unwrap(),
            claims: claims(text),
        })
        .collect()
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
        for claim in claims {
            claim.holds(&server, name).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_newcomer_copies_is_valid() {
    let server = Server::start().await;
    let blocks = BEGINNINGS.iter().flat_map(|text| text.split("```json\n").skip(1));
    let mut definitions = 0;
    for block in blocks {
        let definition: Value = serde_json::from_str(block.split_once("```").unwrap().0).unwrap();
        let answer = server.post("/api/workflows/validate", &definition).await;
        let diagnostics = answer.body["diagnostics"].as_array().unwrap();
        // The plugin is uploaded by a command that stands before.
        let faults: Vec<_> = diagnostics
            .iter()
            .filter(|it| !it["message"].as_str().unwrap().contains("`demo/slugify@^1`"))
            .collect();
        assert!(faults.is_empty(), "{}: {faults:?}", definition["name"]);
        definitions += 1;
    }
    assert!(definitions >= 4, "{definitions} definitions");
    server.stop().await;
}
