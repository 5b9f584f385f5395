//! `reset`: a server for trying things out, without what is under way and without dead letters.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context, bail};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bulk;
use super::executions::{LOOK_EVERY, text};
use crate::arguments::ResetOptions;
use crate::client::Client;
use crate::output::{self, Progress, Usage};

/// Of executions that have not ended.
const LIVE: [&str; 4] = ["pending", "running", "waiting", "paused"];
/// How long executions get to end once they were told to.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Cancels and purges what is there, and says what stays.
pub(crate) async fn reset(
    options: &ResetOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if !options.force && !is_this_machine(client.url())? {
        let text = format!("{} is not on this machine: add --force if you mean it", client.url());
        return Err(Usage(text).into());
    }
    let (live, dead) = tokio::try_join!(live(client), dead_letters(client))?;
    if live + dead > 0 {
        let question = format!(
            "Cancel {} and purge {} at {}?",
            output::count(live, "execution"),
            output::count(dead, "dead letter"),
            client.url()
        );
        if !output::confirm(&question, options.yes)? {
            return Ok(ExitCode::FAILURE);
        }
    }
    cancel(client, live).await?;
    let purged = client.post("/api/dlq/purge", &purge_request(false)).await?;
    if as_json {
        output::json(&json!({ "cancelled": live, "purged": purged["purged"] }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!(
        "{} cancelled, {} purged",
        output::count(live, "execution"),
        output::count(purged["purged"].as_u64().unwrap_or(0), "dead letter")
    ))?;
    output::note(
        "workflows, plugins, secrets and the history stay; the directory of `stateflow dev` has all of it (--data-dir, .stateflow)",
    );
    Ok(ExitCode::SUCCESS)
}

fn is_this_machine(url: &str) -> anyhow::Result<bool> {
    let url = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    Ok(host == "localhost" || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback()))
}

/// How many executions have not ended.
async fn live(client: &Client) -> anyhow::Result<u64> {
    let mut count = 0;
    for status in LIVE {
        let answer = client.post("/api/executions/bulk", &cancellation(status, true)).await?;
        count += answer["matched"].as_u64().unwrap_or(0);
    }
    Ok(count)
}

async fn dead_letters(client: &Client) -> anyhow::Result<u64> {
    let answer = client.post("/api/dlq/purge", &purge_request(true)).await?;
    Ok(answer["purged"].as_u64().unwrap_or(0))
}

fn cancellation(status: &str, dry_run: bool) -> Value {
    json!({ "action": "cancel", "filter": { "status": status }, "dryRun": dry_run })
}

fn purge_request(dry_run: bool) -> Value {
    json!({ "filter": {}, "by": "api", "reason": "stateflow reset", "dryRun": dry_run })
}

/// Cancels all of them, and waits until they have ended: what they still do as long as they have not would be left behind.
async fn cancel(client: &Client, before: u64) -> anyhow::Result<()> {
    for status in LIVE {
        let begun = client.post("/api/executions/bulk", &cancellation(status, false)).await?;
        bulk::follow(client, &text(&begun["id"]), "cancelling").await?;
    }
    // Not before: following an action has a bar of its own.
    let progress = Progress::of(before, "cancelling");
    let until = Instant::now() + PATIENCE;
    loop {
        let left = live(client).await?;
        if left == 0 {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!(
                "{} told to cancel and still under way: is there a worker? see `stateflow workers`",
                output::count(left, "execution")
            );
        }
        progress.reach(before.saturating_sub(left));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_this_machine() {
        for (url, here) in [
            ("http://127.0.0.1:4000", true),
            ("http://localhost:4000", true),
            ("http://[::1]:4000", true),
            ("http://127.1.2.3", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1:4000", false),
            ("https://stateflow.example.com", false),
            ("http://127.0.0.1@example.com", false),
        ] {
            assert_eq!(is_this_machine(url).unwrap(), here, "{url}");
        }
    }
}
