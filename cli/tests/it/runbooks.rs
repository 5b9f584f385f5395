//! The runbooks and the upgrade guide: every command in them is run as it is written.

use crate::operator::{Operator, repository};

/// What every runbook has, in this order.
const PARTS: [&str; 4] =
    ["## Symptoms", "## First five minutes", "## Diagnosis and repair", "## Afterwards"];

/// Commands of a document.
pub(crate) struct Block {
    /// Of its second level.
    heading: String,
    line: usize,
    pub(crate) commands: String,
}

/// The blocks that begin with `sh`, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut heading, mut open) = (Vec::new(), String::new(), None);
    for (index, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match &mut open {
            None if bare.starts_with("```") => {
                let block =
                    Block { heading: heading.clone(), line: index + 2, commands: String::new() };
                open = Some((bare == "```sh", block));
            }
            None => {
                if let Some(title) = line.strip_prefix("## ") {
                    title.clone_into(&mut heading);
                }
            }
            Some(_) if bare == "```" => {
                blocks.extend(open.take().and_then(|(is_shell, block)| is_shell.then_some(block)));
            }
            Some((_, block)) => {
                block.commands.push_str(line);
                block.commands.push('\n');
            }
        }
    }
    blocks
}

/// Puts in what an operator would: an execution that has failed, one that waits, and so on. Fresh ones for every block,
/// because commands change them.
fn filled_in(commands: &str, operator: &Operator) -> String {
    let mut text = commands.replace("PLUGIN@VERSION", "team/tool@1.0.0");
    let mut fill = |word: &str, value: &dyn Fn() -> String| {
        if text.contains(word) {
            text = text.replace(word, &value());
        }
    };
    fill("PLUGIN", &|| "team/tool".to_owned());
    fill("WORKFLOW", &|| "orders".to_owned());
    fill("EXECUTION_ID", &|| operator.run("orders"));
    fill("WAITING_ID", &|| operator.run("rests"));
    fill("SCRATCH_URL", &|| operator.database_url.replace("/stateflow?", "/stateflow_scratch?"));
    fill("SCHEMA_VERSION", &|| (store::Store::latest_schema_version() - 1).to_string());
    fill("BULK_ID", &|| {
        let begun = operator.succeeds("stateflow bulk resume --status paused --json");
        let begun: serde_json::Value = serde_json::from_str(&begun).unwrap();
        begun["id"].as_str().unwrap().to_owned()
    });
    text
}

fn run(document: &str, block: &Block, operator: &Operator) {
    let commands = filled_in(&block.commands, operator);
    let output = operator.shell(&commands);
    assert!(
        output.status.success(),
        "{document}:{}: {}\n{commands}\n{}{}",
        block.line,
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

async fn works_as_it_is_written(name: &str) {
    let text = std::fs::read_to_string(repository().join("docs/runbooks").join(name)).unwrap();
    let headings: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).collect();
    assert_eq!(headings, PARTS, "{name}");
    let blocks = blocks(&text);
    assert!(blocks.len() >= 5, "{name}: {} blocks", blocks.len());

    let operator = Operator::on_duty().await;
    // What the first five minutes of severity 1 wrote, under a name without a time.
    operator.succeeds("deploy/backup.sh evidence.dump");
    for block in &blocks {
        run(name, block, &operator);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runbooks_work_as_they_are_written() {
    let mut names: Vec<_> = std::fs::read_dir(repository().join("docs/runbooks"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        works_as_it_is_written(&name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_and_a_restore_go_as_the_guide_says() {
    let path = "docs/guides/upgrading.md";
    let text = std::fs::read_to_string(repository().join(path)).unwrap();
    let blocks = blocks(&text);
    let mut operator = Operator::on_duty().await;
    let under = |heading: &str, operator: &Operator| {
        let of_it: Vec<_> = blocks.iter().filter(|block| block.heading == heading).collect();
        assert!(!of_it.is_empty(), "{path} has no commands under {heading}");
        for block in &of_it {
            run(path, block, operator);
        }
        of_it.len()
    };
    let before = operator.succeeds("stateflow list --json");
    let mut ran: usize =
        ["Before", "Backup", "Upgrade"].map(|it| under(it, &operator)).iter().sum();
    operator.stop();
    ran += under("Going back", &operator) + under("Restore", &operator);
    assert_eq!(ran, blocks.len(), "a block is under another heading");

    operator.start();
    assert_eq!(operator.succeeds("stateflow list --json"), before);
    operator.run("fan");
}

#[test]
fn blocks_are_found_with_their_place() {
    let text = "## A\n\n```sh\none\ntwo\n```\n\n```json\n{}\n```\n\n## B\n\n1. So:\n\n   ```sh\n   three\n   ```\n";
    let found: Vec<_> = blocks(text)
        .into_iter()
        .map(|block| (block.heading, block.line, block.commands.trim().to_owned()))
        .collect();
    let wanted = [("A", 4, "one\ntwo"), ("B", 17, "three")]
        .map(|(heading, line, commands)| (heading.to_owned(), line, commands.to_owned()));
    assert_eq!(found, wanted);
}
