//! `logs`: what an execution has logged, once or until it ends. A follower that loses the server goes on where it was.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use serde_json::Value;

use super::text;
use crate::arguments::LogsOptions;
use crate::client::{Client, Unreachable, encoded};
use crate::events::Events;
use crate::output;

/// How long a follower waits before it comes back: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often it comes back in vain: for about a minute.
const MOST_FAILURES: u32 = 15;

/// Prints an execution's log.
pub(crate) async fn logs(
    options: LogsOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let path = format!("/api/executions/{}", encoded(&options.id));
    let mut follower = Follower { client, path, after: None, as_json };
    if options.follow {
        follower.follow().await?;
    } else {
        follower.rest().await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where in a log one is.
struct Follower<'a> {
    client: &'a Client,
    path: String,
    /// The id of the last line that was printed.
    after: Option<String>,
    as_json: bool,
}

impl Follower<'_> {
    /// All lines after the last one, as far as there are any.
    async fn rest(&mut self) -> anyhow::Result<()> {
        loop {
            let cursor = self.after.as_ref().map_or_else(String::new, |it| format!("?cursor={it}"));
            let page = self.client.get(&format!("{}/logs{cursor}", self.path)).await?;
            for line in page["items"].as_array().into_iter().flatten() {
                print(line, self.as_json)?;
            }
            match page["nextCursor"].as_str() {
                Some(next) => self.after = Some(next.to_owned()),
                None => return Ok(()),
            }
        }
    }

    async fn follow(&mut self) -> anyhow::Result<()> {
        let mut stream = self.stream().await?;
        let mut failures = 0;
        loop {
            let before = self.after.clone();
            if self.print_stream(stream).await? {
                return Ok(());
            }
            if self.after != before {
                failures = 0;
            }
            output::note("the stream broke off; going on where it was");
            // Nor should a server that breaks every stream at once be asked without a pause.
            tokio::time::sleep(FIRST_PAUSE).await;
            stream = loop {
                match self.stream().await {
                    Ok(stream) => break stream,
                    Err(error) => self.come_back(&mut failures, error).await?,
                }
            };
        }
    }

    /// Waits a little longer every time; gives up after a while, and at once if the server has said no.
    async fn come_back(&self, failures: &mut u32, error: anyhow::Error) -> anyhow::Result<()> {
        if !error.is::<Unreachable>() || *failures == MOST_FAILURES {
            return Err(error);
        }
        if *failures == 0 {
            output::note(&format!("{error}; trying again"));
        }
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(*failures));
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        *failures += 1;
        Ok(())
    }

    async fn stream(&self) -> anyhow::Result<reqwest::Response> {
        let cursor = self.after.as_ref().map_or_else(String::new, |it| format!("&cursor={it}"));
        self.client.stream(&format!("{}/logs?follow=true{cursor}", self.path)).await
    }

    /// Prints what comes. Whether the execution has ended, and not only the stream: the server may have been stopped.
    async fn print_stream(&mut self, stream: reqwest::Response) -> anyhow::Result<bool> {
        let mut events = Events::default();
        let mut stream = stream.bytes_stream();
        while let Some(Ok(piece)) = stream.next().await {
            for event in events.take(&piece) {
                match event.name.as_str() {
                    "log" => {
                        let line = serde_json::from_str(&event.data);
                        print(&line.context("the stream is not readable")?, self.as_json)?;
                        self.after = event.id.or(self.after.take());
                    }
                    "end" => return Ok(true),
                    // A newer server may have more to say.
                    _ => {}
                }
            }
        }
        Ok(false)
    }
}

fn print(line: &Value, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        return output::line(line);
    }
    let fields =
        if line["fields"].is_null() { String::new() } else { format!(" {}", line["fields"]) };
    let level = format!("{:5}", text(&line["level"]));
    let level = match level.trim_end() {
        "error" => output::bad(level),
        "warn" => output::warning(level),
        _ => level,
    };
    output::line(format!(
        "{} {level} {} {}{}",
        output::faint(text(&line["loggedAt"])),
        output::bold(format!("{}#{}", text(&line["step"]), line["attempt"])),
        output::tame(&text(&line["message"])),
        output::faint(fields)
    ))
}
