//! Finding executions. A list looks at windows of bounded size, until its page is full, there is no more, or it has taken long
//! enough: then it says where to go on. So no filter can take long, however many executions there are and however few it finds.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{Store, StoreError};

/// Workflows whose name has a part: more are not looked for.
const MAX_NAMED: i64 = 1_000;
/// Executions that have what is sought, so few that all of them are looked at: those of more are found in windows as well.
const RARE: i64 = 2_000;

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
    /// Part of the workflow's name, the beginning of the id, a label's value, or a term of the input.
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
    /// All that has a label: no windows of it, there is all of it or too much.
    Labelled,
    /// The same of all that a text finds, unless that is also a part of workflows' names.
    Termed,
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
            Self::Labelled => "labelled",
            Self::Termed => "termed",
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

/// What is looked for, and in whose executions.
struct Search<'a> {
    namespace_id: i32,
    filter: &'a Filter,
    sought: Option<Sought>,
}

impl Search<'_> {
    /// Where all of it is found at once, if there is little of it.
    fn rare(&self) -> Option<Source> {
        if self.sought.as_ref().is_some_and(|it| it.workflows.is_empty()) {
            return Some(Source::Termed);
        }
        self.filter.labels.is_some().then_some(Source::Labelled)
    }

    /// The window that is opened only after the place of what is rare was asked. A text is often one execution's, and the
    /// labels of each row take their time to be compared with it: two small windows are enough.
    fn patience(&self, enough: i64, effort: Effort) -> i64 {
        match self.sought {
            Some(_) => enough.saturating_mul(9).min(effort.window),
            None => effort.window,
        }
    }

    /// The ids that begin with the text, if it is long enough to be meant as that: a first group, or more.
    fn only_ids(&self) -> Option<(Uuid, Uuid)> {
        let sought = self.sought.as_ref()?;
        sought.ids.filter(|_| sought.workflows.is_empty() && sought.is_long)
    }
}

impl Page {
    /// Ends the page if it has more than it may.
    fn end_at(&mut self, limit: usize) -> bool {
        if self.items.len() <= limit {
            return false;
        }
        self.items.truncate(limit);
        self.next = self.items.last().map(|it| it.id);
        true
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
        let search = Search { namespace_id, filter, sought };
        let mut bounds = Bounds::of(filter);
        let mut page = Page::default();
        // The first window is enough where all that is looked at is found.
        let enough = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let mut size = enough.min(effort.window);
        let mut rare = search.rare();
        loop {
            let missing = enough.saturating_sub(i64::try_from(page.items.len()).unwrap_or(0));
            // Where what is sought is common, small windows fill the page, and nobody reads the whole index of it.
            let small = size < search.patience(enough, effort) && began.elapsed() < effort.time;
            if (!small || search.only_ids().is_some())
                && let Some(source) = rare.take()
            {
                let most = RARE.min(effort.window);
                let window = self.window(&search, source, bounds, [most, missing]).await?;
                if window.looked_at <= most {
                    page.items.extend(window.found);
                    page.end_at(limit);
                    return Ok(page);
                }
                self.narrow(&search, &mut bounds).await?;
            }
            let source = Source::of(filter);
            let window = self.window(&search, source, bounds, [size, missing]).await?;
            page.items.extend(window.found);
            if page.end_at(limit) {
                return Ok(page);
            }
            let Some(last) = window.last.filter(|_| window.looked_at >= size) else {
                return Ok(page);
            };
            if began.elapsed() >= effort.time && rare.is_none() {
                page.next = Some(last);
                return Ok(page);
            }
            bounds.before = last;
            size = size.saturating_mul(8).min(effort.window);
        }
    }

    /// A text that begins many ids is looked for among those alone, if nothing else has it.
    async fn narrow(&self, search: &Search<'_>, bounds: &mut Bounds) -> Result<(), StoreError> {
        let Some((first, last)) = search.only_ids() else { return Ok(()) };
        let sought = search.sought.clone().map(|it| Sought { ids: None, ..it });
        let terms = Search { sought, ..*search };
        if self.window(&terms, Source::Termed, *bounds, [1, 1]).await?.looked_at == 0 {
            bounds.narrow(first, last);
        }
        Ok(())
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
        Search { namespace_id, filter, sought }: &Search<'_>,
        source: Source,
        bounds: Bounds,
        [size, limit]: [i64; 2],
    ) -> Result<Window, StoreError> {
        let ids = sought.as_ref().and_then(|it| it.ids);
        let rows = sqlx::query_file!(
            "queries/list_executions.sql",
            source.as_str(),
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
            sought.as_ref().map(|it| it.workflows.as_slice()),
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
    use serde_json::json;

    use super::*;

    #[test]
    fn all_of_it_is_asked_for_where_an_index_has_it() {
        let sought = |workflows, text: &str| {
            Some(Sought { workflows, ids: ids_beginning_with(text), is_long: text.len() >= 8 })
        };
        let labels = Some(json!({ "team": "billing" }));
        let none = Filter::default();
        let labelled = Filter { labels, ..Filter::default() };
        let of = |filter, sought| Search { namespace_id: 1, filter, sought }.rare();
        assert_eq!(of(&none, None), None);
        assert_eq!(of(&labelled, None), Some(Source::Labelled));
        assert_eq!(of(&labelled, sought(Vec::new(), "a7")), Some(Source::Termed));
        let named = || vec![Uuid::nil()];
        assert_eq!(of(&none, sought(named(), "a7")), None, "workflows have many executions");
        assert_eq!(of(&labelled, sought(named(), "a7")), Some(Source::Labelled));
        let is_id =
            |text| Search { namespace_id: 1, filter: &none, sought: sought(Vec::new(), text) };
        assert!(is_id("01a22025").only_ids().is_some());
        assert!(is_id("01a2202").only_ids().is_none());
    }

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
