//! `plugin diff`: what a version asks for beyond another, and what else differs.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::admitting::{admit, sandbox};
use super::check::refuse;
use super::name_and_version;
use super::push::{listed, plain};
use crate::arguments::DiffOptions;
use crate::client::Client;
use crate::output::{self, Usage};

/// What is compared beside the capabilities.
const FIELDS: [&str; 6] = ["kind", "imports", "sizes", "compile", "configSchema", "outputSchema"];

/// Compares two versions on the server, or two files.
pub(super) async fn diff(
    options: &DiffOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let difference = match options.plugins.as_slice() {
        [old, new] if Path::new(old).is_file() && Path::new(new).is_file() => {
            match of_files(Path::new(old), Path::new(new)).await? {
                Ok(difference) => difference,
                Err(code) => return Ok(code),
            }
        }
        [old, new] => {
            let ((name, old), (other, new)) = (name_and_version(old)?, name_and_version(new)?);
            if name != other {
                let message = format!("`{name}` and `{other}` are two plugins, not two versions");
                return Err(Usage(message).into());
            }
            of_versions(client, name, old, new).await?
        }
        [name, old, new] => of_versions(client, name, old, new).await?,
        _ => return Err(Usage("a diff is of two versions, or of two files".to_owned()).into()),
    };
    if as_json {
        output::json(&difference)?;
    } else {
        show(&difference)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn of_versions(client: &Client, name: &str, old: &str, new: &str) -> anyhow::Result<Value> {
    let (old, new) = (old.replace('+', "%2B"), new.replace('+', "%2B"));
    client.get(&format!("/api/plugins/{name}/diff?from={old}&to={new}")).await
}

/// In the form of the server's answer.
async fn of_files(old: &Path, new: &Path) -> anyhow::Result<Result<Value, ExitCode>> {
    let sandbox = sandbox()?;
    let mut sides = Vec::new();
    for path in [old, new] {
        match admit(&sandbox, path, None).await? {
            Ok(local) => sides.push((local.describe(&sandbox), local.asked)),
            Err(problems) => return refuse(path, &problems, false).map(Err),
        }
    }
    let (before, after) = (&sides[0], &sides[1]);
    let changed: Map<_, _> = FIELDS
        .into_iter()
        .filter(|field| before.0[*field] != after.0[*field])
        .map(|field| (field.to_owned(), json!({ "from": before.0[field], "to": after.0[field] })))
        .collect();
    let side = |plugin: &Value| json!({ "version": plugin["version"], "digest": plugin["digest"] });
    Ok(Ok(json!({
        "name": after.0["name"],
        "from": side(&before.0),
        "to": side(&after.0),
        "capabilities": {
            "added": after.1.beyond(&before.1, covers),
            "removed": before.1.beyond(&after.1, covers),
        },
        "changed": changed,
    })))
}

/// Whether one rule of egress allows all that another does.
fn covers(rule: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<egress::Rule>().ok();
    parsed(rule).zip(parsed(other)).is_some_and(|(rule, other)| rule.covers(&other))
}

fn show(difference: &Value) -> anyhow::Result<()> {
    for side in ["from", "to"] {
        let it = &difference[side];
        output::line(format!("{side:<8} {} {}", plain(&it["version"]), plain(&it["digest"])))?;
    }
    let capabilities = &difference["capabilities"];
    output::line(format!("added    {}", listed(&capabilities["added"])))?;
    output::line(format!("removed  {}", listed(&capabilities["removed"])))?;
    for (field, change) in difference["changed"].as_object().into_iter().flatten() {
        output::line(format!("{field}: {} -> {}", change["from"], change["to"]))?;
    }
    Ok(())
}
