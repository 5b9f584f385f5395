//! Uploaded plugins: what they say of themselves, and their bytes by content.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::leases::parse;
use crate::{Store, StoreError};

/// A stored plugin version.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// `team/name`.
    pub name: String,
    /// The version, as semantic versioning writes it.
    pub version: String,
    /// `sha256:` and the hex digest of the uploaded bytes.
    pub digest: String,
    /// The digest of the component that was made of them.
    pub component_digest: String,
    /// What the upload answered.
    pub description: Value,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
}

/// A plugin version to store.
#[derive(Debug)]
pub struct NewPlugin<'a> {
    /// Who owns it.
    pub namespace_id: i32,
    /// `team/name`.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
    /// The digest of the uploaded bytes.
    pub digest: &'a str,
    /// The digest of the component.
    pub component_digest: &'a str,
    /// What the upload answers.
    pub description: &'a Value,
    /// The uploaded bytes.
    pub upload: &'a [u8],
    /// The component.
    pub component: &'a [u8],
}

impl Store {
    /// Stores a plugin version. Returns it, and whether it is new: the same bytes again are the same version.
    /// [`StoreError::Conflict`] if the version has other bytes.
    pub async fn add_plugin(&self, new: &NewPlugin<'_>) -> Result<(Plugin, bool), StoreError> {
        let mut transaction = self.pool.begin().await?;
        for (digest, bytes) in [(new.digest, new.upload), (new.component_digest, new.component)] {
            sqlx::query!(
                "insert into plugin_blobs (namespace_id, digest, bytes) values ($1, $2, $3)
                 on conflict do nothing",
                new.namespace_id,
                digest,
                bytes,
            )
            .execute(&mut *transaction)
            .await?;
        }
        let inserted = sqlx::query!(
            "insert into plugins (id, namespace_id, name, version, digest, component_digest, description)
             values ($1, $2, $3, $4, $5, $6, $7::text::json)
             on conflict do nothing",
            Uuid::now_v7(),
            new.namespace_id,
            new.name,
            new.version,
            new.digest,
            new.component_digest,
            new.description.to_string(),
        )
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        let stored =
            self.plugin_in(&mut transaction, new.namespace_id, new.name, new.version).await?;
        if stored.digest != new.digest {
            return Err(StoreError::Conflict(format!(
                "plugin `{}` version {} exists with other bytes ({}); publish them under a new version",
                new.name, new.version, stored.digest
            )));
        }
        transaction.commit().await?;
        Ok((stored, inserted > 0))
    }

    async fn plugin_in(
        &self,
        transaction: &mut sqlx::PgTransaction<'_>,
        namespace_id: i32,
        name: &str,
        version: &str,
    ) -> Result<Plugin, StoreError> {
        let row = sqlx::query_as!(
            PluginRow,
            r#"select name, version, digest, component_digest, description::text as "description!", created_at
               from plugins where namespace_id = $1 and name = $2 and version = $3"#,
            namespace_id,
            name,
            version,
        )
        .fetch_one(&mut **transaction)
        .await?;
        row.try_into()
    }

    /// All versions of one plugin, or of all plugins, oldest first. Bounded by `limit`.
    pub async fn plugins(
        &self,
        namespace_id: i32,
        name: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Plugin>, StoreError> {
        let rows = sqlx::query_as!(
            PluginRow,
            r#"select name, version, digest, component_digest, description::text as "description!", created_at
               from plugins
               where namespace_id = $1 and ($2::text is null or name = $2)
               order by name, created_at
               limit $3"#,
            namespace_id,
            name,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(Plugin::try_from).collect()
    }

    /// The plugin version with this upload digest. If there are several, with the same bytes, one of them.
    pub async fn plugin_of(&self, namespace_id: i32, digest: &str) -> Result<Plugin, StoreError> {
        let row = sqlx::query_as!(
            PluginRow,
            r#"select name, version, digest, component_digest, description::text as "description!", created_at
               from plugins where namespace_id = $1 and digest = $2
               order by created_at
               limit 1"#,
            namespace_id,
            digest,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.ok_or_else(|| StoreError::not_found("plugin", digest))?.try_into()
    }

    /// The component of the plugin version with this upload digest.
    pub async fn plugin_component(
        &self,
        namespace_id: i32,
        digest: &str,
    ) -> Result<Vec<u8>, StoreError> {
        sqlx::query_scalar!(
            "select b.bytes
             from plugins p
             join plugin_blobs b on b.namespace_id = p.namespace_id and b.digest = p.component_digest
             where p.namespace_id = $1 and p.digest = $2
             limit 1",
            namespace_id,
            digest,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("plugin", digest))
    }
}

struct PluginRow {
    name: String,
    version: String,
    digest: String,
    component_digest: String,
    description: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<PluginRow> for Plugin {
    type Error = StoreError;

    fn try_from(row: PluginRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: row.name,
            version: row.version,
            digest: row.digest,
            component_digest: row.component_digest,
            description: parse("plugin description", &row.description)?,
            created_at: row.created_at,
        })
    }
}
