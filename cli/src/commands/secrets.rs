//! `secrets`: set, listed, deleted and sealed anew. A value comes from standard input, never from an argument, which
//! other users of the machine could see.

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::json;
use zeroize::Zeroizing;

use super::executions::text;
use crate::arguments::{SecretsCommand, SetSecretOptions};
use crate::client::{Client, encoded, problem};
use crate::moment::ago;
use crate::output::{self, Usage};

/// A value has no more bytes; one more is read, so that the server says it.
const MOST: u64 = 64 * 1024 + 2;

/// Carries out one of them.
pub(crate) async fn secrets(
    command: SecretsCommand,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        SecretsCommand::List => list(client, as_json).await,
        SecretsCommand::Set(options) => set(options, client, as_json).await,
        SecretsCommand::Delete { name, by } => delete(&name, &by, client).await,
        SecretsCommand::Rotate { by } => rotate(&by, client, as_json).await,
    }
}

async fn list(client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let list = client.get("/api/secrets").await?;
    if as_json {
        output::json(&list["items"])?;
        return Ok(ExitCode::SUCCESS);
    }
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let rows = items.iter().map(|it| {
        let destinations = it["destinations"].as_array().into_iter().flatten().map(text);
        let destinations = destinations.collect::<Vec<_>>().join(", ");
        vec![
            text(&it["name"]),
            if destinations.is_empty() { "nowhere".to_owned() } else { destinations },
            text(&it["version"]),
            text(&it["keyId"]),
            ago(&it["updatedAt"]),
        ]
    });
    output::table(
        &["NAME", "MAY GO TO", "VERSION", "KEY", "SET"],
        rows.collect(),
        "there are no secrets",
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn set(
    options: SetSecretOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let value = read_value()?;
    let body = json!({ "value": &*value, "destinations": options.destination });
    let body = Zeroizing::new(body.to_string().into_bytes());
    let path = format!("{}?{}", path(&options.name)?, query(&options.by));
    let (status, answer) =
        client.exchange(Method::PUT, &path, "application/json", body.to_vec()).await?;
    if !status.is_success() {
        bail!("{}", problem(status, &answer));
    }
    if as_json {
        output::json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::note(&format!("secret {} is set, version {}", options.name, answer["version"]));
    if options.destination.is_empty() {
        output::note("it may be sent nowhere: set it with --destination");
    }
    Ok(ExitCode::SUCCESS)
}

async fn delete(name: &str, by: &str, client: &Client) -> anyhow::Result<ExitCode> {
    client.delete(&format!("{}?{}", path(name)?, query(by))).await?;
    output::note(&format!("secret {name} is deleted"));
    Ok(ExitCode::SUCCESS)
}

async fn rotate(by: &str, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/secrets-rotation?{}", query(by));
    let answer = client.post(&path, &json!({})).await?;
    let failed = answer["failed"].as_array().cloned().unwrap_or_default();
    if as_json {
        output::json(&answer)?;
    } else {
        output::note(&format!(
            "{} sealed anew, all with key {}",
            answer["resealed"],
            text(&answer["keyId"])
        ));
        for why in &failed {
            output::complain(&text(why));
        }
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A name that would lead to another path is none.
fn path(name: &str) -> anyhow::Result<String> {
    secrets::check_name(name).map_err(|error| Usage(error.to_string()))?;
    Ok(format!("/api/secrets/{name}"))
}

/// Who does it.
fn query(by: &str) -> String {
    format!("by={}", encoded(by))
}

/// All of standard input, without the line's end that editors and `echo` add.
fn read_value() -> anyhow::Result<Zeroizing<String>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let prompt = "value (one line, not shown; for more, send a file to standard input): ";
        let typed = rpassword::prompt_password(prompt).context("cannot read the value")?;
        return Ok(Zeroizing::new(typed));
    }
    let mut value = Zeroizing::new(String::new());
    input.lock().take(MOST).read_to_string(&mut value).context("cannot read the value")?;
    drop_newline(&mut value);
    Ok(value)
}

/// Editors end files with one.
pub(super) fn drop_newline(value: &mut String) {
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
}
