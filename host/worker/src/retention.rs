//! Deletes what is past its time, in one process at a time: whole weeks of history by taking their tables away, rows in small
//! batches with pauses. What has to be archived first is, or stays.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use prometheus::IntCounterVec;
use store::Store;
use store::retention::{Detached, Kind, Leftover, Page, Retention, Rows, Week, rest_from};
use uuid::Uuid;

use crate::archive::{Archive, Archived};

/// How often it looks.
const EVERY: Duration = Duration::from_hours(1);
/// Blobs are looked for less often: that reads the whole history.
const BLOBS_EVERY: Duration = Duration::from_hours(24);
/// Rows that one statement deletes: some milliseconds.
const BATCH: usize = 500;
/// Rows that are archived together.
const ARCHIVE_ROWS: usize = 20_000;
/// What a round has deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Whole weeks.
    pub weeks: u64,
    /// Executions and messages outside of those.
    pub rows: u64,
    /// Keys, records and the like.
    pub leftovers: u64,
    /// Blobs.
    pub blobs: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Retiring {
    /// Where the history is.
    pub store: Store,
    /// How long things are kept.
    pub retention: Retention,
    /// Where what is deleted goes, if it is to be kept.
    pub archive: Option<Archive>,
}

impl Retiring {
    /// Looks every hour. Never returns.
    pub(crate) async fn run(&self, counted: &IntCounterVec) {
        let mut blobs_at: Option<Instant> = None;
        loop {
            let blobs = blobs_at.is_none_or(|at| at.elapsed() > BLOBS_EVERY);
            if let Some(deleted) = self.round(blobs).await {
                blobs_at = if blobs { Some(Instant::now()) } else { blobs_at };
                for (what, count) in [
                    ("weeks", deleted.weeks),
                    ("rows", deleted.rows),
                    ("leftovers", deleted.leftovers),
                    ("blobs", deleted.blobs),
                ] {
                    counted.with_label_values(&[what]).inc_by(count);
                }
                if deleted != Deleted::default() {
                    tracing::info!(?deleted, "deleted what was past its time");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Looks once; `None` if another process does. A part that fails is logged, and does not keep the others.
    pub async fn round(&self, blobs: bool) -> Option<Deleted> {
        let turn = match self.store.retention_turn().await {
            Ok(turn) => turn?,
            Err(error) => {
                tracing::debug!(error = ?error, "retention could not begin");
                return None;
            }
        };
        let mut deleted = Deleted::default();
        // A process may have ended between taking a week off and dropping it.
        told("weeks", self.drop_detached().await);
        for kind in [Kind::Executions, Kind::Messages] {
            deleted.weeks += told("weeks", self.weeks(kind).await);
            deleted.rows += told("rows", self.rows(kind).await);
        }
        for leftover in Leftover::ALL {
            deleted.leftovers += told("leftovers", self.leftovers(leftover).await);
        }
        if blobs {
            deleted.blobs += told("blobs", self.blobs().await);
        }
        if let Err(error) = turn.end().await {
            tracing::debug!(error = ?error, "the turn ends with its connection");
        }
        Some(deleted)
    }

    async fn drop_detached(&self) -> anyhow::Result<u64> {
        Ok(self.store.drop_detached().await?)
    }

    async fn weeks(&self, kind: Kind) -> anyhow::Result<u64> {
        let mut gone = 0;
        for week in self.store.old_weeks(kind, &self.retention).await? {
            if let Some(looked_at) = self.store.week_is_over(&week, &self.retention).await? {
                gone += u64::from(self.week(&week, looked_at).await?);
            }
        }
        Ok(gone)
    }

    /// Archives a week, takes it off and drops it. Says whether it is gone.
    async fn week(&self, week: &Week, looked_at: DateTime<Utc>) -> anyhow::Result<bool> {
        let name = format!("{}-{}", week.kind.tables()[0], week.begins.format("%Y%m%d"));
        let rows = Rows { from: week.from, to: week.to, ids: None };
        let archived = self.keep(week.kind, &name, rows).await?;
        let outcome = self.store.detach_week(week, looked_at).await?;
        if outcome == Detached::Done {
            self.store.drop_detached().await?;
            return Ok(true);
        }
        tracing::info!(week = %name, ?outcome, "a week could not be taken off now; trying again later");
        if let Some(archived) = archived {
            archived.discard()?;
        }
        Ok(false)
    }

    async fn keep(
        &self,
        kind: Kind,
        name: &str,
        rows: Rows<'_>,
    ) -> anyhow::Result<Option<Archived>> {
        match &self.archive {
            Some(archive) => Ok(Some(archive.write(&self.store, kind, name, rows).await?)),
            None => Ok(None),
        }
    }

    /// Goes through what is old enough, in the order of ids: an execution comes before what it has begun.
    async fn rows(&self, kind: Kind) -> anyhow::Result<u64> {
        let Some(end) = self.store.retention_end(kind, &self.retention).await? else {
            return Ok(0);
        };
        let (mut deleted, mut after, mut due) = (0, Uuid::nil(), Vec::new());
        loop {
            let page = self.store.retention_page(kind, (after, end), &self.retention).await?;
            let Page { due: found, last } = page;
            due.extend(found);
            if last.is_none() || self.archive.is_none() || due.len() >= ARCHIVE_ROWS {
                deleted += self.delete(kind, std::mem::take(&mut due)).await?;
            }
            let Some(last) = last else { return Ok(deleted) };
            after = last;
        }
    }

    async fn delete(&self, kind: Kind, ids: Vec<Uuid>) -> anyhow::Result<u64> {
        let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return Ok(0) };
        let name = format!("{}-from-{first}", kind.tables()[0]);
        let to = Uuid::from_u128(last.as_u128().saturating_add(1));
        self.keep(kind, &name, Rows { from: *first, to, ids: Some(&ids) }).await?;
        let mut deleted = 0;
        for batch in ids.chunks(BATCH) {
            let began = Instant::now();
            deleted += self.store.delete_past(kind, batch).await?;
            rest_from(began).await;
        }
        Ok(deleted)
    }

    async fn leftovers(&self, leftover: Leftover) -> anyhow::Result<u64> {
        let mut deleted = 0;
        loop {
            let began = Instant::now();
            match self.store.delete_leftovers(leftover, &self.retention).await? {
                0 => return Ok(deleted),
                count => deleted += count,
            }
            rest_from(began).await;
        }
    }

    async fn blobs(&self) -> anyhow::Result<u64> {
        if !self.store.any_blob_may_go(&self.retention).await? {
            return Ok(0);
        }
        let mut referenced = BTreeSet::new();
        for kind in [Kind::Executions, Kind::Messages] {
            for week in self.store.all_weeks(kind).await? {
                referenced.extend(self.store.blob_references(Some(&week)).await?);
            }
        }
        // Last, because from here references go into the history.
        referenced.extend(self.store.blob_references(None).await?);
        Ok(self.store.delete_unreferenced_blobs(&referenced, &self.retention).await?)
    }
}

fn told(what: &str, outcome: anyhow::Result<u64>) -> u64 {
    outcome.unwrap_or_else(|error| {
        tracing::warn!(error = %format!("{error:#}"), what, "retention could not go on");
        0
    })
}
