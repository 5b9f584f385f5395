//! Uploaded plugins: what they say of themselves, what they may do, who vouches for them, and their bytes by content.

use chrono::{DateTime, Utc};
use engine::capability::CapabilitySet;
use engine::plan::LockedPlugin;
use engine::signature::Vouch;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{self, Entry};
use crate::leases::parse;
use crate::{Store, StoreError};

/// Versions with the same bytes that are looked at.
const MAX_TWINS: i64 = 100;

/// Where a plugin version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginStatus {
    /// New workflow versions may lock it.
    Active,
    /// It waits for an approval, or for signatures.
    Pending,
    /// It was taken back: nobody new locks it, and whoever has goes on.
    Yanked,
}

impl PluginStatus {
    /// The status as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Yanked => "yanked",
        }
    }

    fn of(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "yanked" => Self::Yanked,
            // The column's check lets no other in.
            _ => Self::Pending,
        }
    }
}

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
    /// Where it is in its life.
    pub status: PluginStatus,
    /// What it asks for.
    pub asked: CapabilitySet,
    /// What it may do; `None` until somebody has approved it.
    pub grants: Option<CapabilitySet>,
    /// Who vouches for its bytes, by the name of the key.
    pub vouches: Vec<Vouch>,
    /// What the upload answered.
    pub description: Value,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
    /// When its status was last changed.
    pub changed_at: DateTime<Utc>,
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
    /// Where its life begins.
    pub status: PluginStatus,
    /// What it may do at once.
    pub grants: Option<&'a CapabilitySet>,
    /// What the upload answers.
    pub description: &'a Value,
    /// The uploaded bytes.
    pub upload: &'a [u8],
    /// The component.
    pub component: &'a [u8],
}

/// Names one version of a plugin.
#[derive(Clone, Copy, Debug)]
pub struct PluginVersion<'a> {
    /// Who owns it.
    pub namespace_id: i32,
    /// `team/name`.
    pub name: &'a str,
    /// The version.
    pub version: &'a str,
}

/// What garbage collection found.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// `name@version` of each plugin version.
    pub versions: Vec<String>,
    /// How many uploads and components.
    pub blobs: i64,
    /// How large they were together.
    pub bytes: i64,
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
        let grants = new.grants.map(|grants| json!(grants).to_string());
        let inserted = sqlx::query!(
            "insert into plugins
                 (id, namespace_id, name, version, digest, component_digest, status, grants, description)
             values ($1, $2, $3, $4, $5, $6, $7, $8::text::json, $9::text::json)
             on conflict do nothing",
            Uuid::now_v7(),
            new.namespace_id,
            new.name,
            new.version,
            new.digest,
            new.component_digest,
            new.status.as_str(),
            grants,
            new.description.to_string(),
        )
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        let version =
            PluginVersion { namespace_id: new.namespace_id, name: new.name, version: new.version };
        let stored = one(&mut *transaction, version).await?;
        if stored.digest != new.digest {
            return Err(StoreError::Conflict(format!(
                "plugin `{}` version {} exists with other bytes ({}); publish them under a new version",
                new.name, new.version, stored.digest
            )));
        }
        transaction.commit().await?;
        Ok((stored, inserted > 0))
    }

    /// All versions of one plugin, or of all plugins, oldest first. Bounded by `limit`.
    pub async fn plugins(
        &self,
        namespace_id: i32,
        name: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Plugin>, StoreError> {
        select(&self.pool, namespace_id, [name, None, None], limit).await
    }

    /// One version.
    pub async fn plugin(&self, version: PluginVersion<'_>) -> Result<Plugin, StoreError> {
        one(&self.pool, version).await
    }

    /// The plugin versions with these bytes: the same may be uploaded under several names.
    pub async fn plugins_of(
        &self,
        namespace_id: i32,
        digest: &str,
    ) -> Result<Vec<Plugin>, StoreError> {
        select(&self.pool, namespace_id, [None, None, Some(digest)], MAX_TWINS).await
    }

    /// What a step is locked to. A lock without a version means the plugin's first one with the bytes that was granted
    /// something.
    pub async fn locked_plugin(
        &self,
        namespace_id: i32,
        name: &str,
        locked: &LockedPlugin,
    ) -> Result<Plugin, StoreError> {
        let sought = [Some(name), locked.version.as_deref(), Some(&locked.digest)];
        let mut found = select(&self.pool, namespace_id, sought, MAX_TWINS).await?;
        if found.is_empty() {
            return Err(StoreError::not_found("plugin", format!("{name} {}", locked.digest)));
        }
        let granted = found.iter().position(|plugin| plugin.grants.is_some()).unwrap_or(0);
        Ok(found.swap_remove(granted))
    }

    /// Moves a version to another place in its life, and puts that on record. With `grants`, that is what it may do
    /// from now on.
    pub async fn change_plugin(
        &self,
        version: PluginVersion<'_>,
        status: PluginStatus,
        grants: Option<&CapabilitySet>,
        entry: &Entry<'_>,
    ) -> Result<Plugin, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let changed = sqlx::query!(
            "update plugins
             set status = $4, grants = coalesce($5::text::json, grants), changed_at = now()
             where namespace_id = $1 and name = $2 and version = $3",
            version.namespace_id,
            version.name,
            version.version,
            status.as_str(),
            grants.map(|grants| json!(grants).to_string()),
        )
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::not_found(
                "plugin",
                format!("{}@{}", version.name, version.version),
            ));
        }
        audit::record(&mut transaction, version.namespace_id, entry).await?;
        let plugin = one(&mut *transaction, version).await?;
        transaction.commit().await?;
        Ok(plugin)
    }

    /// Keeps a signature that was found to be good. The same one again is kept once.
    pub async fn add_plugin_signature(
        &self,
        namespace_id: i32,
        digest: &str,
        key_id: &str,
        signature: &[u8],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into plugin_signatures (namespace_id, digest, key_id, signature)
             values ($1, $2, $3, $4)
             on conflict do nothing",
            namespace_id,
            digest,
            key_id,
            signature,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
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

    /// Removes versions that were yanked before an instant and that no workflow version has locked, and bytes that
    /// belong to nothing. A dry run only says which.
    pub async fn collect_plugins(
        &self,
        namespace_id: i32,
        yanked_before: DateTime<Utc>,
        dry_run: bool,
        entry: &Entry<'_>,
    ) -> Result<Collected, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let found = sqlx::query_file!("queries/collect_plugins.sql", namespace_id, yanked_before)
            .fetch_all(&mut *transaction)
            .await?;
        let mut collected = Collected::default();
        for row in &found {
            collected.versions.push(format!("{}@{}", row.name, row.version));
            sqlx::query!(
                "delete from plugins where namespace_id = $1 and name = $2 and version = $3",
                namespace_id,
                row.name,
                row.version,
            )
            .execute(&mut *transaction)
            .await?;
        }
        let blobs = sqlx::query_file!("queries/collect_plugin_blobs.sql", namespace_id)
            .fetch_one(&mut *transaction)
            .await?;
        (collected.blobs, collected.bytes) = (blobs.blobs, blobs.bytes);
        if !dry_run {
            audit::record(&mut transaction, namespace_id, entry).await?;
            transaction.commit().await?;
        }
        Ok(collected)
    }
}

async fn one<'c>(
    executor: impl sqlx::PgExecutor<'c>,
    version: PluginVersion<'_>,
) -> Result<Plugin, StoreError> {
    let narrowed = [Some(version.name), Some(version.version), None];
    let found = select(executor, version.namespace_id, narrowed, 1).await?;
    let missing =
        || StoreError::not_found("plugin", format!("{}@{}", version.name, version.version));
    found.into_iter().next().ok_or_else(missing)
}

async fn select<'c>(
    executor: impl sqlx::PgExecutor<'c>,
    namespace_id: i32,
    [name, version, digest]: [Option<&str>; 3],
    limit: i64,
) -> Result<Vec<Plugin>, StoreError> {
    let rows = sqlx::query_file_as!(
        PluginRow,
        "queries/plugin_versions.sql",
        namespace_id,
        name,
        version,
        digest,
        limit
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Plugin::try_from).collect()
}

struct PluginRow {
    name: String,
    version: String,
    digest: String,
    component_digest: String,
    status: String,
    grants: Option<String>,
    description: String,
    created_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    signed_by: Vec<String>,
    signatures: Vec<Vec<u8>>,
}

impl TryFrom<PluginRow> for Plugin {
    type Error = StoreError;

    fn try_from(row: PluginRow) -> Result<Self, StoreError> {
        let vouches = row.signed_by.into_iter().zip(row.signatures);
        let vouches = vouches.map(|(key_id, signature)| Vouch { key_id, signature });
        let grants = row.grants.as_deref().map(|text| parse("plugin grants", text)).transpose()?;
        let description: Value = parse("plugin description", &row.description)?;
        let asked = match description.get("capabilities") {
            None | Some(Value::Null) => CapabilitySet::default(),
            Some(asked) => parse("plugin capabilities", &asked.to_string())?,
        };
        Ok(Self {
            asked,
            name: row.name,
            version: row.version,
            digest: row.digest,
            component_digest: row.component_digest,
            status: PluginStatus::of(&row.status),
            grants,
            vouches: vouches.collect(),
            description,
            created_at: row.created_at,
            changed_at: row.changed_at,
        })
    }
}
