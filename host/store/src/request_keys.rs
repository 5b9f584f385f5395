//! Answers to requests that were made with an idempotency key.

use std::time::Duration;

use crate::{Store, StoreError};

/// A request that has no answer after this long was lost with its server, and may be made again.
const LOST_AFTER: Duration = Duration::from_mins(2);
/// How long answers are kept, in hours.
const KEPT_HOURS: i32 = 24;

/// An answer, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The media type.
    pub kind: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: the request is under way from now on.
    New,
    /// The same request is under way.
    UnderWay,
    /// The same request had this answer.
    Answered(Answer),
    /// Another request has the key.
    Other,
}

impl Store {
    /// Begins a request, unless its key is known.
    pub async fn begin_request(
        &self,
        namespace_id: i32,
        key: &str,
        fingerprint: &[u8],
    ) -> Result<Known, StoreError> {
        let begun = sqlx::query!(
            "insert into request_keys as k (namespace_id, key, fingerprint) values ($1, $2, $3)
             on conflict (namespace_id, key) do update set begun_at = now()
             where k.status is null and k.fingerprint = excluded.fingerprint
               and k.begun_at < now() - make_interval(secs => $4)",
            namespace_id,
            key,
            fingerprint,
            LOST_AFTER.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        if begun.rows_affected() == 1 {
            return Ok(Known::New);
        }
        let row = sqlx::query!(
            "select fingerprint, status, kind, body from request_keys where namespace_id = $1 and key = $2",
            namespace_id,
            key,
        )
        .fetch_optional(&self.pool)
        .await?;
        // Between the two statements it may have been given up.
        let Some(row) = row else { return Ok(Known::UnderWay) };
        if row.fingerprint != fingerprint {
            return Ok(Known::Other);
        }
        let Some(status) = row.status else { return Ok(Known::UnderWay) };
        Ok(Known::Answered(Answer {
            status: u16::try_from(status).unwrap_or(500),
            kind: row.kind.unwrap_or_default(),
            body: row.body.unwrap_or_default(),
        }))
    }

    /// Keeps a request's answer.
    pub async fn answer_request(
        &self,
        namespace_id: i32,
        key: &str,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "update request_keys set status = $3, kind = $4, body = $5 where namespace_id = $1 and key = $2",
            namespace_id,
            key,
            i16::try_from(answer.status).unwrap_or(500),
            answer.kind,
            answer.body,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets a request that has no answer worth keeping: it may be made again.
    pub async fn forget_request(&self, namespace_id: i32, key: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from request_keys where namespace_id = $1 and key = $2 and status is null",
            namespace_id,
            key,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes the answers that are too old. Returns how many they were.
    pub async fn drop_old_answers(&self) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "delete from request_keys where begun_at < now() - make_interval(hours => $1)",
            KEPT_HOURS
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}
