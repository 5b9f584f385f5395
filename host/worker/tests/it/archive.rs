//! What is deleted can be read again, and what cannot be archived stays.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::retention::Retention;

use crate::history::History;

fn folders(archive: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        fs::read_dir(archive).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The rows of a table, after the manifest has been compared with the files.
fn read_back(folder: &Path, table: &str) -> BTreeSet<String> {
    let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let entry = files.iter().find(|it| it["table"] == table).unwrap();
    let path = folder.join(entry["file"].as_str().unwrap());
    let bytes = fs::read(&path).unwrap();
    assert_eq!(entry["bytes"], bytes.len());
    assert_eq!(entry["sha256"], hex::encode(Sha256::digest(&bytes)));
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    let rows: BTreeSet<_> = lines.map(|line| normal(&line.unwrap())).collect();
    assert_eq!(entry["rows"], rows.len());
    rows
}

/// Without the white space that authors wrote.
fn normal(row: &str) -> String {
    serde_json::from_str::<Value>(row).unwrap().to_string()
}

async fn rows(history: &History, table: &str) -> BTreeSet<String> {
    let text = format!("select row_to_json(t)::text from {table} t");
    let rows: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_all(&history.side).await.unwrap();
    rows.iter().map(|row| normal(row)).collect()
}

#[tokio::test]
async fn a_week_is_read_back_as_it_was() {
    let history = History::new().await;
    history.week(8).await;
    history.ended(8, "succeeded", 5_000).await;
    let (executions, attempts) =
        (rows(&history, "executions").await, rows(&history, "attempts").await);
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("made/when/needed");
    let retiring = history.retiring(Retention::default(), Some(&archive));
    assert_eq!(retiring.round(true).await.unwrap().weeks, 2);
    assert_eq!(history.count("executions").await, 0);

    let folders = folders(&archive);
    assert_eq!(folders.len(), 2, "executions and messages: {folders:?}");
    assert_eq!(read_back(&folders[0], "executions"), executions);
    assert_eq!(read_back(&folders[0], "attempts"), attempts);
    assert!(read_back(&folders[0], "families").is_empty());
    assert!(read_back(&folders[1], "messages").is_empty());
}

#[tokio::test]
async fn rows_are_archived_before_they_are_deleted() {
    let history = History::new().await;
    history.week(8).await;
    history.ended(8, "succeeded", 50).await;
    history.ended(8, "failed", 5).await;
    let before = rows(&history, "executions").await;
    let archive = tempfile::tempdir().unwrap();
    let retiring = history.retiring(Retention::default(), Some(archive.path()));
    assert_eq!(retiring.round(true).await.unwrap().rows, 50);
    let left = rows(&history, "executions").await;
    let folders = folders(archive.path());
    let part = folders.iter().find(|it| it.to_string_lossy().contains("executions-from")).unwrap();
    let archived = read_back(part, "executions");
    assert_eq!(archived.len(), 50);
    assert_eq!(archived.union(&left).cloned().collect::<BTreeSet<_>>(), before);
    assert_eq!(read_back(part, "attempts").len(), 50);
}

#[tokio::test]
async fn what_cannot_be_archived_stays() {
    let history = History::new().await;
    for ago in [8, 9] {
        history.week(ago).await;
        history.ended(ago, "succeeded", 5).await;
    }
    // One week goes row by row, because a part of it stays.
    history.ended(9, "failed", 1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let deleted = history.retiring(Retention::default(), Some(&file)).round(true).await.unwrap();
    assert_eq!((deleted.weeks, deleted.rows), (0, 0));
    assert_eq!(history.count("executions").await, 11);
    assert_eq!(history.old_tables().await, 8);
}

#[tokio::test]
async fn an_archive_of_what_could_not_be_taken_off_is_taken_away_again() {
    let history = History::new().await;
    history.week(8).await;
    history.ended(8, "succeeded", 5).await;
    // Somebody tells one of them something, at the moment at which the week is taken off.
    history
        .sql(
            "create function stir() returns event_trigger language plpgsql as $$
             begin
                 insert into stateflow.queue (execution_id, namespace_id, due_at)
                 select id, 1, now() from stateflow.executions limit 1 on conflict do nothing;
             end $$;
             create event trigger stir on ddl_command_start when tag in ('ALTER TABLE') execute function stir()",
        )
        .await;
    let archive = tempfile::tempdir().unwrap();
    let retiring = history.retiring(Retention::default(), Some(archive.path()));
    let deleted = retiring.round(true).await.unwrap();
    assert_eq!((deleted.weeks, deleted.rows), (1, 5), "messages, and executions one by one");
    let names: Vec<_> = folders(archive.path());
    assert_eq!(names.len(), 2, "the rows, and the week of messages: {names:?}");
    assert!(names[0].to_string_lossy().contains("executions-from-"), "{names:?}");
}
