//! Secrets as they are stored: sealed. Nothing here can open them, and nothing here is asked to.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::audit::{self, Entry};
use crate::{Store, StoreError};

/// What a list of secrets shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHead {
    /// Its name.
    pub name: String,
    /// Where it may be sent.
    pub destinations: Vec<String>,
    /// Counts up whenever it is set.
    pub version: i32,
    /// The key that sealed it.
    pub key_id: String,
    /// When it was first set.
    pub created_at: DateTime<Utc>,
    /// When it was last set.
    pub updated_at: DateTime<Utc>,
}

/// A secret as it is stored.
#[derive(Clone, Debug)]
pub struct StoredSecret {
    /// Who owns it.
    pub namespace_id: i32,
    /// Its name.
    pub name: String,
    /// Where it may be sent.
    pub destinations: Vec<String>,
    /// The key that sealed it.
    pub key_id: String,
    /// Drawn for this sealing.
    pub nonce: Vec<u8>,
    /// The value, encrypted.
    pub sealed: Vec<u8>,
}

/// How many secrets a namespace may have, and how large they may be together.
#[derive(Clone, Copy, Debug)]
pub struct SecretLimits {
    /// How many.
    pub count: i64,
    /// The sealed bytes of all of them.
    pub bytes: i64,
}

impl Store {
    /// Sets a secret. Returns how it is listed, and whether it is new. [`StoreError::Conflict`] if the namespace would
    /// have more than it may.
    pub async fn set_secret(
        &self,
        secret: &StoredSecret,
        limits: SecretLimits,
        actor: &str,
    ) -> Result<(SecretHead, bool), StoreError> {
        let mut transaction = self.pool.begin().await?;
        // One at a time, so that the limits hold. Executions are begun meanwhile: their locks are weaker.
        sqlx::query!(
            "select id from namespaces where id = $1 for no key update",
            secret.namespace_id,
        )
        .fetch_one(&mut *transaction)
        .await?;
        let others = sqlx::query!(
            r#"select count(*) as "count!", coalesce(sum(length(sealed)), 0) as "bytes!"
               from secrets where namespace_id = $1 and name <> $2"#,
            secret.namespace_id,
            secret.name,
        )
        .fetch_one(&mut *transaction)
        .await?;
        if others.count >= limits.count {
            let message = format!(
                "the namespace has {} secrets, which is the most; delete one that is no longer used",
                limits.count
            );
            return Err(StoreError::Conflict(message));
        }
        let size = i64::try_from(secret.sealed.len()).unwrap_or(i64::MAX);
        if others.bytes.saturating_add(size) > limits.bytes {
            let message = format!(
                "the namespace's secrets would have more than {} bytes together; delete one that is no longer used",
                limits.bytes
            );
            return Err(StoreError::Conflict(message));
        }
        let row = sqlx::query!(
            r#"insert into secrets (namespace_id, name, key_id, nonce, sealed, destinations)
               values ($1, $2, $3, $4, $5, $6::text::json)
               on conflict (namespace_id, name) do update set key_id = excluded.key_id, nonce = excluded.nonce,
                   sealed = excluded.sealed, destinations = excluded.destinations,
                   version = secrets.version + 1, updated_at = now()
               returning version, created_at, updated_at"#,
            secret.namespace_id,
            secret.name,
            secret.key_id,
            secret.nonce,
            secret.sealed,
            serde_json::Value::from(secret.destinations.clone()).to_string(),
        )
        .fetch_one(&mut *transaction)
        .await?;
        let detail = json!({ "version": row.version, "destinations": secret.destinations });
        let entry = Entry { actor, action: "secret.set", subject: &secret.name, detail: &detail };
        audit::record(&mut transaction, secret.namespace_id, &entry).await?;
        transaction.commit().await?;
        let head = SecretHead {
            name: secret.name.clone(),
            destinations: secret.destinations.clone(),
            version: row.version,
            key_id: secret.key_id.clone(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Ok((head, row.version == 1))
    }

    /// What there is, by name; a namespace has few enough for one list.
    pub async fn secret_heads(&self, namespace_id: i32) -> Result<Vec<SecretHead>, StoreError> {
        let rows = sqlx::query!(
            r#"select name, key_id, destinations::text as "destinations!", version, created_at, updated_at
               from secrets where namespace_id = $1 order by name"#,
            namespace_id,
        )
        .fetch_all(&self.pool)
        .await?;
        let heads = rows.into_iter().map(|row| {
            Ok(SecretHead {
                destinations: destinations(&row.destinations)?,
                name: row.name,
                version: row.version,
                key_id: row.key_id,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        });
        heads.collect()
    }

    /// All secrets of a namespace, sealed.
    pub async fn secrets(&self, namespace_id: i32) -> Result<Vec<StoredSecret>, StoreError> {
        let rows = sqlx::query_as!(
            SecretRow,
            r#"select namespace_id, name, key_id, nonce, sealed, destinations::text as "destinations!"
               from secrets where namespace_id = $1 order by name"#,
            namespace_id,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Deletes a secret.
    pub async fn delete_secret(
        &self,
        namespace_id: i32,
        name: &str,
        actor: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let deleted = sqlx::query!(
            "delete from secrets where namespace_id = $1 and name = $2",
            namespace_id,
            name,
        )
        .execute(&mut *transaction)
        .await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::not_found("secret", name));
        }
        let entry = Entry { actor, action: "secret.delete", subject: name, detail: &json!({}) };
        audit::record(&mut transaction, namespace_id, &entry).await?;
        Ok(transaction.commit().await?)
    }

    /// Secrets of all namespaces that another key than this one sealed, behind the given one, in order.
    pub async fn secrets_not_sealed_by(
        &self,
        key_id: &str,
        after: Option<&(i32, String)>,
        limit: i64,
    ) -> Result<Vec<StoredSecret>, StoreError> {
        let (namespace_id, name) = after.map_or((0, ""), |(id, name)| (*id, name.as_str()));
        let rows = sqlx::query_as!(
            SecretRow,
            r#"select namespace_id, name, key_id, nonce, sealed, destinations::text as "destinations!"
               from secrets where key_id <> $1 and (namespace_id, name) > ($2, $3)
               order by namespace_id, name limit $4"#,
            key_id,
            namespace_id,
            name,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Puts a secret that was sealed anew in the place of what it was made of. `false` if it was set meanwhile: then it
    /// is sealed by whoever set it.
    pub async fn reseal_secret(
        &self,
        old: &StoredSecret,
        new: &StoredSecret,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "update secrets set key_id = $1, nonce = $2, sealed = $3
             where namespace_id = $4 and name = $5 and key_id = $6 and nonce = $7",
            new.key_id,
            new.nonce,
            new.sealed,
            old.namespace_id,
            old.name,
            old.key_id,
            old.nonce,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

struct SecretRow {
    namespace_id: i32,
    name: String,
    key_id: String,
    nonce: Vec<u8>,
    sealed: Vec<u8>,
    destinations: String,
}

impl TryFrom<SecretRow> for StoredSecret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        Ok(Self {
            destinations: destinations(&row.destinations)?,
            namespace_id: row.namespace_id,
            name: row.name,
            key_id: row.key_id,
            nonce: row.nonce,
            sealed: row.sealed,
        })
    }
}

fn destinations(text: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(text)
        .map_err(|source| StoreError::Corrupt { what: "destinations", source })
}
