//! Rows as JSON, for an archive: one text a row, as they stream in.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

use super::Kind;
use crate::{Store, StoreError};

/// What an archive has a file of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveTable {
    /// `executions`
    Executions,
    /// `attempts`
    Attempts,
    /// `families`
    Families,
    /// `late_results`
    LateResults,
    /// `messages`
    Messages,
}

impl ArchiveTable {
    /// The files of a kind. Those that are partitioned come first, in the order of [`Kind::tables`].
    pub fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Executions => {
                &[Self::Executions, Self::Attempts, Self::Families, Self::LateResults]
            }
            Kind::Messages => &[Self::Messages],
        }
    }

    /// The table's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Executions => "executions",
            Self::Attempts => "attempts",
            Self::Families => "families",
            Self::LateResults => "late_results",
            Self::Messages => "messages",
        }
    }
}

/// Which rows: from an id up to another, and of those only some ids, if any are named.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The first.
    pub from: Uuid,
    /// The first after them.
    pub to: Uuid,
    /// Only these.
    pub ids: Option<&'a [Uuid]>,
}

impl Store {
    /// Rows as JSON objects, each on one line, in no order.
    pub fn archive_rows<'a>(
        &'a self,
        table: ArchiveTable,
        rows: Rows<'a>,
    ) -> BoxStream<'a, Result<String, StoreError>> {
        let Rows { from, to, ids } = rows;
        macro_rules! rows {
            ($text:literal) => {
                sqlx::query_scalar!($text, from, to, ids as Option<&[Uuid]>)
                    .fetch(&self.pool)
                    .boxed()
            };
        }
        // `row_to_json` keeps what authors wrote as it is, white space included: a line break can only be that, since in
        // a text it is escaped.
        let texts = match table {
            ArchiveTable::Executions => rows!(
                r#"select translate(row_to_json(t)::text, E'\r\n', '  ') as "row!" from executions t
                   where id >= $1 and id < $2 and ($3::uuid[] is null or id = any ($3))"#
            ),
            ArchiveTable::Attempts => rows!(
                r#"select translate(row_to_json(t)::text, E'\r\n', '  ') as "row!" from attempts t
                   where execution_id >= $1 and execution_id < $2
                     and ($3::uuid[] is null or execution_id = any ($3))"#
            ),
            ArchiveTable::Families => rows!(
                r#"select translate(row_to_json(t)::text, E'\r\n', '  ') as "row!" from families t
                   where parent_id >= $1 and parent_id < $2 and ($3::uuid[] is null or parent_id = any ($3))"#
            ),
            ArchiveTable::LateResults => rows!(
                r#"select translate(row_to_json(t)::text, E'\r\n', '  ') as "row!" from late_results t
                   where execution_id >= $1 and execution_id < $2
                     and ($3::uuid[] is null or execution_id = any ($3))"#
            ),
            ArchiveTable::Messages => rows!(
                r#"select translate(row_to_json(t)::text, E'\r\n', '  ') as "row!" from messages t
                   where id >= $1 and id < $2 and ($3::uuid[] is null or id = any ($3))"#
            ),
        };
        texts.map_err(StoreError::from).boxed()
    }
}
