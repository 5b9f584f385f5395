//! Families: executions that an execution begins and waits for. The journal begins them and counts their ends; this reads
//! what has become of them.

use std::ops::Range;

use chrono::{DateTime, Utc};
use engine::definition::MAX_PAYLOAD_BYTES;
use engine::failure::{ErrorCode, Failure};
use engine::machine::{ChildFailure, MAX_NAMED_FAILURES, Outcomes, Surroundings, child_id};
use uuid::Uuid;

use crate::leases::parse;
use crate::{Store, StoreError};

/// Where a child belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinship {
    /// The execution that has begun it.
    pub parent_id: Uuid,
    /// Which of the parent's families it is in.
    pub visit: u32,
    /// Its place in the family.
    pub ordinal: u32,
    /// The block that it runs.
    pub block: Option<String>,
}

impl Kinship {
    /// From the columns of an execution; `None` for one that is no child.
    pub(crate) fn of(
        parent_id: Option<Uuid>,
        visit: Option<i32>,
        ordinal: Option<i32>,
        block: Option<String>,
    ) -> Option<Self> {
        let number = |column: Option<i32>| u32::try_from(column?).ok();
        Some(Self {
            parent_id: parent_id?,
            visit: number(visit)?,
            ordinal: number(ordinal)?,
            block,
        })
    }
}

/// A family, and how far it has come.
#[derive(Clone, Debug)]
pub struct Family {
    /// Which of the parent's families it is.
    pub visit: i32,
    /// The step that it is for.
    pub step_id: String,
    /// When it was begun.
    pub begun_at: DateTime<Utc>,
    /// How many members it has.
    pub total: i32,
    /// How many of them may be under way at once.
    pub concurrency: i32,
    /// How many have ended.
    pub ended: i32,
    /// How many of those have not ended well.
    pub failed: i32,
}

impl Family {
    /// The ids of some of its members.
    pub fn members(&self, parent_id: Uuid, ordinals: Range<i32>) -> Vec<Uuid> {
        members(parent_id, self.visit, self.begun_at, ordinals)
    }
}

/// A child in a list.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub id: Uuid,
    /// Which of the parent's families it is in.
    pub visit: Option<i32>,
    /// Its place in the family.
    pub ordinal: Option<i32>,
    /// The block that it runs.
    pub block: Option<String>,
    /// The workflow that it runs, or that its block is a part of.
    pub workflow: String,
    /// The version.
    pub version: i32,
    /// `pending`, `running`, …
    pub status: String,
    /// Why it failed: the code.
    pub error_code: Option<String>,
    /// When a worker first wrote its state.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// The ids of a family's members.
pub(crate) fn members(
    parent_id: Uuid,
    visit: i32,
    begun_at: DateTime<Utc>,
    ordinals: Range<i32>,
) -> Vec<Uuid> {
    let unsigned = |number: i32| u32::try_from(number).unwrap_or(0);
    let id = |ordinal| child_id(parent_id, unsigned(visit), unsigned(ordinal), begun_at);
    ordinals.map(id).collect()
}

impl Store {
    /// The newest family of each step of an execution.
    pub async fn newest_families(&self, parent_id: Uuid) -> Result<Vec<Family>, StoreError> {
        Ok(sqlx::query_as!(
            Family,
            "select distinct on (step_id) visit, step_id, begun_at, total, concurrency, ended, failed
             from families where parent_id = $1 order by step_id, visit desc",
            parent_id,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Some of an execution's families, from a visit on, oldest first.
    pub async fn families(
        &self,
        parent_id: Uuid,
        from_visit: i32,
        limit: i64,
    ) -> Result<Vec<Family>, StoreError> {
        Ok(sqlx::query_as!(
            Family,
            "select visit, step_id, begun_at, total, concurrency, ended, failed
             from families where parent_id = $1 and visit >= $2 order by visit limit $3",
            parent_id,
            from_visit,
            limit,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// One of an execution's families.
    pub async fn family(&self, parent_id: Uuid, visit: u32) -> Result<Family, StoreError> {
        sqlx::query_as!(
            Family,
            "select visit, step_id, begun_at, total, concurrency, ended, failed
             from families where parent_id = $1 and visit = $2",
            parent_id,
            i32::try_from(visit).unwrap_or(i32::MAX),
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("family", format!("{parent_id}/{visit}")))
    }

    /// Children by id, in the ids' order; those with a status, if one is given.
    pub async fn children(
        &self,
        ids: &[Uuid],
        status: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Member>, StoreError> {
        Ok(sqlx::query_as!(
            Member,
            r#"select e.id, e.visit, e.ordinal, e.block, w.name as workflow, e.version, e.status,
                      e.failure ->> 'code' as error_code, e.started_at, e.finished_at
               from executions e
               join workflows w on w.id = e.workflow_id
               where e.id = any ($1) and ($2::text is null or e.status = $2)
               order by e.id
               limit $3"#,
            ids,
            status,
            limit,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// What the blocks of a family see of the execution around them, and the size of that as text.
    pub async fn surroundings(
        &self,
        parent_id: Uuid,
        visit: u32,
    ) -> Result<(Surroundings, usize), StoreError> {
        let around = sqlx::query_scalar!(
            r#"select around::text as "around!"
               from families where parent_id = $1 and visit = $2 and around is not null"#,
            parent_id,
            i32::try_from(visit).unwrap_or(i32::MAX),
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("family", format!("{parent_id}/{visit}")))?;
        Ok((parse("surroundings", &around)?, around.len()))
    }

    /// How a family has ended. The outputs are read if they are wanted, and no more than one output may have.
    pub async fn outcomes(
        &self,
        parent_id: Uuid,
        visit: u32,
        outputs: bool,
    ) -> Result<Outcomes, StoreError> {
        let family = self.family(parent_id, visit).await?;
        let ids = family.members(parent_id, 0..family.total);
        let unsigned = |number: i32| u32::try_from(number).unwrap_or(0);
        let mut outcomes = Outcomes {
            ended: unsigned(family.ended),
            failed: unsigned(family.failed),
            ..Outcomes::default()
        };
        if family.failed > 0 {
            outcomes.failures = self.failures(&ids).await?;
        }
        if outputs {
            outcomes.output_bytes = self.output_bytes(&ids).await?;
            if outcomes.output_bytes <= MAX_PAYLOAD_BYTES {
                outcomes.outputs = self.outputs(&ids).await?;
            }
        }
        Ok(outcomes)
    }

    async fn failures(&self, ids: &[Uuid]) -> Result<Vec<ChildFailure>, StoreError> {
        let rows = sqlx::query!(
            r#"select id, ordinal as "ordinal!", failure::text
               from executions
               where id = any ($1) and status in ('failed', 'cancelled')
               order by id
               limit $2"#,
            ids,
            i64::try_from(MAX_NAMED_FAILURES).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        let unknown = || Failure::new(ErrorCode::Internal, "it left no reason");
        let failures = rows.into_iter().map(|row| {
            let failure = row.failure.as_deref().map(|text| parse("failure", text)).transpose()?;
            Ok(ChildFailure {
                ordinal: u32::try_from(row.ordinal).unwrap_or(0),
                id: row.id,
                failure: failure.unwrap_or_else(unknown),
            })
        });
        failures.collect()
    }

    async fn output_bytes(&self, ids: &[Uuid]) -> Result<usize, StoreError> {
        let bytes = sqlx::query_scalar!(
            // Joined: with `any`, ten thousand ids are planned one by one, which takes three times as long.
            r#"select coalesce(sum(octet_length(e.output::text)), 0) as "bytes!"
               from unnest($1::uuid[]) as m (id)
               join executions e on e.id = m.id"#,
            ids,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    async fn outputs(&self, ids: &[Uuid]) -> Result<Vec<Option<serde_json::Value>>, StoreError> {
        let rows = sqlx::query_scalar!(
            "select e.output::text
             from unnest($1::uuid[]) as m (id)
             join executions e on e.id = m.id
             order by m.id",
            ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let outputs =
            rows.iter().map(|row| row.as_deref().map(|text| parse("output", text)).transpose());
        outputs.collect()
    }
}
