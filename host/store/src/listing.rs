//! Finding executions. A list looks at windows of bounded size, until its page is full, there is no more, or it has taken long
//! enough: then it says where to go on. So no filter can take long, however many executions there are and however few it finds.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{Store, StoreError};

/// Workflows whose name has a part: more are not looked for.
const MAX_NAMED: i64 = 1_000;

/// An execution in a list: without payloads.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its id.
    pub id: Uuid,
    /// The workflow's name.
    pub workflow: String,
    /// The version that it runs.
    pub version: i32,
    /// `pending`, `running`, …
    pub status: String,
    /// Its labels.
    pub labels: Value,
    /// Why it failed: the code.
    pub error_code: Option<String>,
    /// When a worker first wrote its state.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What a list of executions is narrowed by.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The workflow.
    pub workflow_id: Option<Uuid>,
    /// The status.
    pub status: Option<String>,
    /// The version.
    pub version: Option<i32>,
    /// Labels that have to be there: `{"team": "billing"}`.
    pub labels: Option<Value>,
    /// The failure's code.
    pub error: Option<String>,
    /// Created at or after this instant.
    pub since: Option<DateTime<Utc>>,
    /// Created before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Older than this execution: the cursor of a page.
    pub before: Option<Uuid>,
    /// Part of the workflow's name, the beginning of the id, or a label's value.
    pub text: Option<String>,
    /// Whether it waits for somebody to look at it.
    pub dead_letter: Option<bool>,
}

/// How hard a list tries to fill its page.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Executions that the largest window looks at.
    pub window: i64,
    /// How long windows are opened.
    pub time: Duration,
}

impl Effort {
    /// For somebody who waits: windows of ten thousand, which take some ten milliseconds, for as long.
    pub const BRIEF: Self = Self { window: 10_000, time: Duration::from_millis(15) };
    /// To the end.
    pub const FULL: Self = Self { window: 10_000, time: Duration::MAX };
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Newest first. Fewer than asked for do not mean that there are no more.
    pub items: Vec<Summary>,
    /// Where the next page begins: before this execution. None if there is no more.
    pub next: Option<Uuid>,
}

/// Where a list looks: the narrowest place that has all that its filter can find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    All,
    Workflow,
    Failed,
    Dead,
    Live,
}

impl Source {
    fn of(filter: &Filter) -> Self {
        let status = filter.status.as_deref();
        if filter.dead_letter == Some(true) {
            Self::Dead
        } else if filter.error.is_some() || status == Some("failed") {
            Self::Failed
        } else if matches!(status, Some("pending" | "running" | "waiting" | "paused")) {
            Self::Live
        } else if filter.workflow_id.is_some() {
            Self::Workflow
        } else {
            Self::All
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Workflow => "workflow",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Live => "live",
        }
    }
}

/// What a text may stand for.
#[derive(Clone, Debug)]
struct Sought {
    workflows: Vec<Uuid>,
    /// The ids that begin with it.
    ids: Option<(Uuid, Uuid)>,
    /// It is as long as the first group of an id.
    is_long: bool,
}

impl Sought {
    /// The ids that a text stands for that is surely the beginning of one: its first group, or more.
    fn only_ids(&self) -> Option<(Uuid, Uuid)> {
        self.ids.filter(|_| self.workflows.is_empty() && self.is_long)
    }
}

/// Ids from the first on and before the second are looked at.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    from: Uuid,
    before: Uuid,
}

/// What a window showed.
struct Window {
    found: Vec<Summary>,
    looked_at: i64,
    last: Option<Uuid>,
}

impl Store {
    /// A page of executions, newest first.
    pub async fn list(
        &self,
        namespace_id: i32,
        filter: &Filter,
        limit: usize,
        effort: Effort,
    ) -> Result<Page, StoreError> {
        let began = Instant::now();
        let sought = match &filter.text {
            Some(text) => Some(self.sought(namespace_id, text).await?),
            None => None,
        };
        let mut bounds = Bounds::of(filter);
        if let Some((first, last)) = sought.as_ref().and_then(Sought::only_ids) {
            bounds.narrow(first, last);
        }
        let mut page = Page::default();
        // The first window is enough where all that is looked at is found.
        let enough = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut size = enough.min(effort.window);
        loop {
            let missing = enough.saturating_sub(i64::try_from(page.items.len()).unwrap_or(0));
            let window =
                self.window(namespace_id, filter, sought.as_ref(), bounds, [size, missing]).await?;
            page.items.extend(window.found);
            if page.items.len() > limit {
                page.items.truncate(limit);
                page.next = page.items.last().map(|it| it.id);
                return Ok(page);
            }
            let Some(last) = window.last.filter(|_| window.looked_at >= size) else {
                return Ok(page);
            };
            if began.elapsed() >= effort.time {
                page.next = Some(last);
                return Ok(page);
            }
            bounds.before = last;
            size = size.saturating_mul(8).min(effort.window);
        }
    }

    /// All executions that a filter finds, newest first, up to a limit.
    pub async fn executions(
        &self,
        namespace_id: i32,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Summary>, StoreError> {
        Ok(self.list(namespace_id, filter, limit, Effort::FULL).await?.items)
    }

    async fn sought(&self, namespace_id: i32, text: &str) -> Result<Sought, StoreError> {
        let workflows = sqlx::query_scalar!(
            "select id from workflows
             where namespace_id = $1 and strpos(lower(name), lower($2)) > 0
             order by id limit $3",
            namespace_id,
            text,
            MAX_NAMED,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(Sought { workflows, ids: ids_beginning_with(text), is_long: text.len() >= 8 })
    }

    async fn window(
        &self,
        namespace_id: i32,
        filter: &Filter,
        sought: Option<&Sought>,
        bounds: Bounds,
        [size, limit]: [i64; 2],
    ) -> Result<Window, StoreError> {
        let ids = sought.and_then(|it| it.ids);
        let rows = sqlx::query_file!(
            "queries/list_executions.sql",
            Source::of(filter).as_str(),
            namespace_id,
            bounds.from,
            bounds.before,
            size,
            limit,
            filter.workflow_id,
            filter.status,
            filter.version,
            filter.labels,
            filter.error,
            filter.dead_letter,
            sought.map(|it| it.workflows.as_slice()),
            ids.map(|it| it.0),
            ids.map(|it| it.1),
            filter.text,
        )
        .fetch_all(&self.pool)
        .await?;
        let (looked_at, last) = rows.first().map_or((0, None), |row| (row.looked_at, row.last));
        let found = rows.into_iter().filter_map(|row| {
            Some(Summary {
                id: row.id?,
                workflow: row.workflow?,
                version: row.version?,
                status: row.status?,
                labels: row.labels?,
                error_code: row.error_code,
                started_at: row.started_at,
                finished_at: row.finished_at,
            })
        });
        Ok(Window { found: found.collect(), looked_at, last })
    }
}

impl Bounds {
    fn of(filter: &Filter) -> Self {
        let from = filter.since.map_or(Uuid::nil(), smallest_at);
        let until = filter.until.map_or(Uuid::max(), smallest_at);
        Self { from, before: filter.before.map_or(until, |cursor| cursor.min(until)) }
    }

    /// To the ids between these, both included.
    fn narrow(&mut self, first: Uuid, last: Uuid) {
        self.from = self.from.max(first);
        let after = Uuid::from_u128(last.as_u128().saturating_add(1));
        self.before = self.before.min(after);
    }
}

/// The smallest `UUIDv7` of an instant: the first 48 bits are milliseconds (RFC 9562, section 5.7).
fn smallest_at(instant: DateTime<Utc>) -> Uuid {
    let ms = u128::try_from(instant.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(ms << 80)
}

/// The first and the last id whose text begins like this; none if no id's does.
fn ids_beginning_with(text: &str) -> Option<(Uuid, Uuid)> {
    const FIRST: &str = "00000000-0000-0000-0000-000000000000";
    const LAST: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    if !text.is_ascii() || text.is_empty() || text.len() > FIRST.len() {
        return None;
    }
    let filled = |rest: &str| Uuid::try_parse(&format!("{text}{}", &rest[text.len()..])).ok();
    filled(FIRST).zip(filled(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_is_a_range_of_ids() {
        let id: Uuid = "01a22025-c09a-7284-bb8c-8817f4271c7b".parse().unwrap();
        for text in ["0", "01a22025", "01a22025-", "01A22025-c09a-7", &id.to_string()] {
            let (first, last) = ids_beginning_with(text).unwrap();
            assert!(first <= id && id <= last, "{text}");
        }
        assert!(ids_beginning_with("01a22026").is_some_and(|(first, _)| first > id));
        for text in ["", "orders", "01a22025c", "ü", &format!("{id}0")] {
            assert!(ids_beginning_with(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_filter_is_looked_for_in_the_narrowest_place() {
        let of = |filter: Filter| Source::of(&filter);
        let status = |text: &str| Filter { status: Some(text.into()), ..Filter::default() };
        assert_eq!(of(Filter::default()), Source::All);
        assert_eq!(of(status("failed")), Source::Failed);
        assert_eq!(of(status("waiting")), Source::Live);
        assert_eq!(of(status("succeeded")), Source::All);
        let workflow_id = Some(Uuid::nil());
        assert_eq!(of(Filter { workflow_id, ..Filter::default() }), Source::Workflow);
        assert_eq!(
            of(Filter { workflow_id, dead_letter: Some(true), ..Filter::default() }),
            Source::Dead
        );
    }
}
