//! `list` and `failed`.

use std::collections::HashMap;
use std::process::ExitCode;

use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::{LOOK_EVERY, text};
use crate::arguments::{FailedOptions, ListOptions};
use crate::client::{Client, narrowed};
use crate::moment::{self, ago};
use crate::output::{self, Screen, Table};

/// Executions that are asked for at once.
const AT_ONCE: usize = 8;
const NONE: &str = "no executions";

/// Lists executions.
pub(crate) async fn list(
    options: ListOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let path = narrowed("/api/executions", options.filter.given());
    if options.watch {
        return watch(&path, options.limit, client, as_json).await;
    }
    let page = client.items(&path, options.limit).await?;
    if as_json {
        output::json(&Value::Array(page.items))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::table(&HEADERS, page.items.iter().map(row).collect(), NONE)?;
    page.say_if_there_are_more();
    Ok(ExitCode::SUCCESS)
}

const HEADERS: [&str; 7] = ["ID", "WORKFLOW", "VERSION", "STATUS", "ERROR", "STARTED", "TOOK"];

fn row(it: &Value) -> Vec<String> {
    let mut row: Vec<_> =
        ["id", "workflow", "version", "status", "errorCode"].map(|field| text(&it[field])).into();
    row.push(ago(&it["createdAt"]));
    row.push(moment::between(&it["startedAt"], &it["finishedAt"]));
    row
}

/// Shows the list over and over; where nobody looks, each execution that is new or has another status. Ends with the process.
async fn watch(path: &str, limit: u32, client: &Client, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut screen = Screen::open().filter(|_| !as_json);
    let mut known = HashMap::new();
    while !output::nobody_reads() {
        let items = client.items(path, limit).await?.items;
        if let Some(screen) = &mut screen {
            let rows: Vec<_> = items.iter().map(row).collect();
            let empty = rows.is_empty();
            let text = if empty { NONE.to_owned() } else { Table::new(&HEADERS, rows).to_string() };
            screen.draw(&text)?;
        } else {
            for it in changed(&items, &mut known) {
                if as_json { output::line(it)? } else { output::line(row(it).join("  "))? }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is new or has another status, oldest first.
fn changed<'a>(items: &'a [Value], known: &mut HashMap<String, String>) -> Vec<&'a Value> {
    let mut seen = HashMap::new();
    let mut changed = Vec::new();
    for it in items.iter().rev() {
        let (id, status) = (text(&it["id"]), text(&it["status"]));
        if known.get(&id) != Some(&status) {
            changed.push(it);
        }
        seen.insert(id, status);
    }
    // Those that are no longer in the list are forgotten, so that this does not grow.
    *known = seen;
    changed
}

/// Lists what has failed lately, with what it said.
pub(crate) async fn failed(
    options: FailedOptions,
    client: &Client,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let fields = [
        ("status", Some("failed".to_owned())),
        ("since", Some(moment::exact(options.since))),
        ("workflow", options.workflow),
        ("error", options.error),
    ];
    let given = fields.into_iter().filter_map(|(field, value)| Some((field, value?)));
    let path = narrowed("/api/executions", given);
    let mut page = client.items(&path, options.limit).await?;
    // A list has no messages.
    let asked = page.items.iter().map(|it| format!("/api/executions/{}", text(&it["id"])));
    let executions = futures::stream::iter(asked.collect::<Vec<_>>())
        .map(async |path| client.get(&path).await)
        .buffered(AT_ONCE);
    let executions: Vec<_> = executions.try_collect().await?;
    for (item, execution) in page.items.iter_mut().zip(&executions) {
        item["error"] = execution["error"].clone();
        item["step"] = json!(failed_step(execution));
    }
    if as_json {
        output::json(&Value::Array(page.items))?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = page.items.iter().map(|it| {
        vec![
            text(&it["id"]),
            text(&it["workflow"]),
            text(&it["step"]),
            text(&it["error"]["code"]),
            ago(&it["finishedAt"]),
            text(&it["error"]["message"]),
        ]
    });
    output::table(
        &["ID", "WORKFLOW", "STEP", "CODE", "FAILED", "MESSAGE"],
        rows.collect(),
        "nothing has failed",
    )?;
    page.say_if_there_are_more();
    Ok(ExitCode::SUCCESS)
}

/// The step that failed last.
fn failed_step(execution: &Value) -> Option<&str> {
    let steps = execution["steps"].as_array()?;
    steps.iter().rfind(|it| it["status"] == "failed")?["id"].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_said_once_and_oldest_first() {
        let page = |list: &[(&str, &str)]| -> Vec<Value> {
            list.iter().map(|(id, status)| json!({ "id": id, "status": status })).collect()
        };
        let mut known = HashMap::new();
        let mut said = |list: &[(&str, &str)]| -> Vec<String> {
            let items = page(list);
            changed(&items, &mut known).iter().map(|it| text(&it["id"])).collect()
        };
        assert_eq!(said(&[("b", "running"), ("a", "running")]), ["a", "b"]);
        assert_eq!(said(&[("b", "running"), ("a", "running")]), Vec::<String>::new());
        assert_eq!(said(&[("c", "pending"), ("b", "failed"), ("a", "running")]), ["b", "c"]);
    }
}
