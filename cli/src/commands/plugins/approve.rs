//! `plugin approve`: shows what is granted beyond what was before, asks, and grants it.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::push::{listed, plain, waiting};
use super::{name_and_version, path_of};
use crate::arguments::ApproveOptions;
use crate::client::Client;
use crate::output::{self, Usage};

/// Grants a waiting version what it asks for.
pub(super) async fn approve(
    options: ApproveOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let decision = options.decision;
    let (name, version) = name_and_version(&decision.plugin)?;
    let path = path_of(name, version);
    let asked = client.get(&path).await?;
    show(&asked);
    if !options.yes && !confirmed()? {
        output::note("nothing was granted");
        return Ok(ExitCode::FAILURE);
    }
    let body = json!({ "by": decision.by, "reason": decision.reason });
    let granted = client.post(&format!("{path}/approve"), &body).await?;
    if as_json {
        output::json(&granted)?;
    } else {
        output::line(format!("{} is {}", decision.plugin, plain(&granted["status"])))?;
        for sentence in waiting(&granted) {
            output::note(&sentence);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The difference goes before the question, and is no data.
fn show(asked: &Value) {
    output::note(&format!("digest          {}", plain(&asked["digest"])));
    output::note(&format!("asks for        {}", listed(&asked["capabilities"])));
    output::note(&format!("not granted yet {}", listed(&asked["waitsFor"]["approval"])));
}

fn confirmed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        let message = "nobody is there to be asked: say --yes to grant it";
        return Err(Usage(message.to_owned()).into());
    }
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "grant it? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
