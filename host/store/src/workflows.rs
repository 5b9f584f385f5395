//! Workflows and their immutable versions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use engine::machine::State;
use engine::plan::{LockedPlugin, PluginLock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::{self, Entry};
use crate::leases::parse;
use crate::{Store, StoreError};

/// A workflow with its newest version.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The newest version's number.
    pub latest_version: i32,
    /// The version that is live; the newest, if there is none.
    pub live_version: Option<i32>,
    /// The version that a part of the executions runs instead.
    pub ramp_version: Option<i32>,
    /// How large that part is, in percent.
    pub ramp_percent: i32,
    /// Counts up whenever it may change which version an execution runs.
    pub revision: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its newest version was published.
    pub updated_at: DateTime<Utc>,
}

impl Workflow {
    /// The version that an execution with this id runs, if it does not ask for another.
    pub fn pick(&self, execution_id: Uuid) -> i32 {
        // The last bits of an id are random.
        let place = execution_id.as_u64_pair().1 % 100;
        let ramped = place < u64::try_from(self.ramp_percent).unwrap_or(0);
        let live = self.live_version.unwrap_or(self.latest_version);
        self.ramp_version.filter(|_| ramped).unwrap_or(live)
    }
}

/// Which version is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// The version; the newest, whatever is published, if there is none.
    pub version: Option<i32>,
    /// Another version, and the part of the executions that runs it, in percent.
    pub ramp: Option<(i32, i32)>,
}

/// A version that executions run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// The namespace's name.
    pub namespace: String,
    /// The namespace's id.
    pub namespace_id: i32,
    /// The workflow's id.
    pub workflow_id: Uuid,
    /// The version's number.
    pub version: i32,
}

/// One published definition.
#[derive(Clone, Debug)]
pub struct Version {
    /// The workflow.
    pub workflow_id: Uuid,
    /// The workflow's name.
    pub name: String,
    /// The number, from 1.
    pub version: i32,
    /// `sha256:` and the hex digest of the definition's text.
    pub digest: String,
    /// The definition.
    pub definition: Value,
    /// The plugin versions that it is locked to.
    pub plugin_lock: PluginLock,
    /// When it was published.
    pub created_at: DateTime<Utc>,
}

/// A version in a list.
#[derive(Clone, Debug)]
pub struct PublishedVersion {
    /// The number, from 1.
    pub version: i32,
    /// `sha256:` and the hex digest of its content.
    pub digest: String,
    /// When it was published.
    pub created_at: DateTime<Utc>,
}

/// An execution that has not ended.
#[derive(Clone, Debug)]
pub struct LiveExecution {
    /// Its id.
    pub id: Uuid,
    /// The lease that wrote it last.
    pub lease_epoch: i64,
    /// Its state, without outputs.
    pub state: State,
    /// Its input.
    pub input: Value,
}

/// A definition to publish.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// Who owns it.
    pub namespace_id: i32,
    /// The workflow's name.
    pub name: String,
    /// The definition.
    pub definition: Value,
    /// The plugin versions that it is locked to.
    pub plugin_lock: PluginLock,
    /// The events that start it.
    pub events: Vec<String>,
}

impl NewVersion {
    /// The digest that names the content: definition and lock.
    pub fn digest(&self) -> String {
        let text = format!("{}\n{}", self.definition, json!(self.plugin_lock));
        format!("sha256:{}", hex::encode(Sha256::digest(text.as_bytes())))
    }
}

impl Store {
    /// Creates a workflow with its first version. [`StoreError::Conflict`] if the name is taken.
    pub async fn create_workflow(&self, new: &NewVersion) -> Result<Version, StoreError> {
        let id = Uuid::now_v7();
        let mut transaction = self.pool.begin().await?;
        let created = sqlx::query!(
            "insert into workflows (id, namespace_id, name, latest_version) values ($1, $2, $3, 1)
             on conflict (namespace_id, name) where archived_at is null do nothing",
            id,
            new.namespace_id,
            new.name,
        )
        .execute(&mut *transaction)
        .await?;
        if created.rows_affected() == 0 {
            return Err(StoreError::Conflict(format!(
                "there is already a workflow `{}`",
                new.name
            )));
        }
        insert_version(&mut transaction, id, 1, new).await?;
        transaction.commit().await?;
        self.version(id, 1).await
    }

    /// Publishes a new version; the newest version again if nothing has changed. With `expected`, only if that is the
    /// newest: [`StoreError::Conflict`] otherwise.
    pub async fn publish_version(
        &self,
        workflow_id: Uuid,
        new: &NewVersion,
        expected: Option<i32>,
    ) -> Result<Version, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let latest = sqlx::query!(
            r#"select w.latest_version, v.digest
               from workflows w
               join workflow_versions v on v.workflow_id = w.id and v.version = w.latest_version
               where w.id = $1
               for update of w"#,
            workflow_id,
        )
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or_else(|| StoreError::not_found("workflow", workflow_id))?;
        if expected.is_some_and(|it| it != latest.latest_version) {
            return Err(StoreError::Conflict(format!(
                "the workflow has version {} by now; read it again",
                latest.latest_version
            )));
        }
        if latest.digest == new.digest() {
            return self.version(workflow_id, latest.latest_version).await;
        }
        let version = latest.latest_version + 1;
        sqlx::query!(
            "update workflows set latest_version = $2, revision = revision + 1, updated_at = now() where id = $1",
            workflow_id,
            version
        )
        .execute(&mut *transaction)
        .await?;
        insert_version(&mut transaction, workflow_id, version, new).await?;
        transaction.commit().await?;
        self.version(workflow_id, version).await
    }

    /// Says which version is live. [`StoreError::NotFound`] if the workflow has no such version.
    pub async fn set_live(&self, workflow: &Workflow, live: Live) -> Result<(), StoreError> {
        let named = live.version.into_iter().chain(live.ramp.map(|(version, _)| version));
        for version in named {
            if !(1..=workflow.latest_version).contains(&version) {
                return Err(StoreError::not_found("version", version));
            }
        }
        sqlx::query!(
            "update workflows
             set live_version = $2, ramp_version = $3, ramp_percent = $4, revision = revision + 1, updated_at = now()
             where id = $1",
            workflow.id,
            live.version,
            live.ramp.map(|(version, _)| version),
            live.ramp.map_or(0, |(_, percent)| percent),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Executions of a version that have not ended and are no parts of others, with their last lease, by id.
    pub async fn live_executions(
        &self,
        workflow_id: Uuid,
        version: i32,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<LiveExecution>, StoreError> {
        let rows = sqlx::query!(
            r#"select id, lease_epoch, state::text as "state!", input::text as "input!"
               from executions
               where workflow_id = $1 and version = $2 and block is null and id > $3
                 and status in ('pending', 'running', 'waiting', 'paused')
               order by id
               limit $4"#,
            workflow_id,
            version,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let live = rows.into_iter().map(|row| {
            let (state, input) = (parse("state", &row.state)?, parse("input", &row.input)?);
            Ok(LiveExecution { id: row.id, lease_epoch: row.lease_epoch, state, input })
        });
        live.collect()
    }

    /// Lets an execution go on by another version, if nobody holds it and nothing has happened to it since it was read.
    pub async fn move_execution(
        &self,
        execution: &LiveExecution,
        version: i32,
    ) -> Result<bool, StoreError> {
        let moved = sqlx::query!(
            "with place as (
                 select execution_id from queue where execution_id = $1 and worker_id is null for update
             )
             update executions e set version = $3
             from place
             where e.id = place.execution_id and e.lease_epoch = $2",
            execution.id,
            execution.lease_epoch,
            version,
        )
        .execute(&self.pool)
        .await?;
        Ok(moved.rows_affected() > 0)
    }

    /// A workflow by its id or its name.
    pub async fn workflow(
        &self,
        namespace_id: i32,
        id_or_name: &str,
    ) -> Result<Workflow, StoreError> {
        sqlx::query_as!(
            Workflow,
            "select id, name, latest_version, live_version, ramp_version, ramp_percent, revision, created_at, updated_at
             from workflows
             where namespace_id = $1 and archived_at is null and (id = $2 or name = $3)",
            namespace_id,
            Uuid::parse_str(id_or_name).ok(),
            id_or_name,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("workflow", id_or_name))
    }

    /// Workflows by name, from after `after` on.
    pub async fn workflows(
        &self,
        namespace_id: i32,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Workflow>, StoreError> {
        Ok(sqlx::query_as!(
            Workflow,
            "select id, name, latest_version, live_version, ramp_version, ramp_percent, revision, created_at, updated_at
             from workflows
             where namespace_id = $1 and archived_at is null and name > $2
             order by name
             limit $3",
            namespace_id,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Archives a workflow: nothing starts it any more, its name is free, and what is under way goes on.
    pub async fn archive_workflow(
        &self,
        workflow: &Workflow,
        entry: &Entry<'_>,
        namespace_id: i32,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        let archived = sqlx::query!(
            "update workflows set archived_at = now(), revision = revision + 1, updated_at = now()
             where id = $1 and archived_at is null",
            workflow.id,
        )
        .execute(&mut *transaction)
        .await?;
        if archived.rows_affected() == 0 {
            return Err(StoreError::not_found("workflow", &workflow.name));
        }
        sqlx::query!("delete from triggers where workflow_id = $1", workflow.id)
            .execute(&mut *transaction)
            .await?;
        audit::record(&mut transaction, namespace_id, entry).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The versions of a workflow, newest first, before a number if one is given.
    pub async fn versions(
        &self,
        workflow_id: Uuid,
        before: Option<i32>,
        limit: i64,
    ) -> Result<Vec<PublishedVersion>, StoreError> {
        Ok(sqlx::query_as!(
            PublishedVersion,
            "select version, digest, created_at from workflow_versions
             where workflow_id = $1 and ($2::integer is null or version < $2)
             order by version desc limit $3",
            workflow_id,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// The versions that the newest executions run.
    pub async fn versions_in_use(&self, executions: i64) -> Result<Vec<InUse>, StoreError> {
        Ok(sqlx::query_as!(
            InUse,
            r#"select distinct n.name as "namespace!", e.namespace_id as "namespace_id!", e.workflow_id as "workflow_id!",
                      e.version as "version!"
               from (select namespace_id, workflow_id, version from executions order by id desc limit $1) e
               join namespaces n on n.id = e.namespace_id"#,
            executions,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// One version of a workflow.
    pub async fn version(&self, workflow_id: Uuid, version: i32) -> Result<Version, StoreError> {
        let row = sqlx::query!(
            r#"select v.workflow_id, w.name, v.version, v.digest, v.definition::text as "definition!",
                      v.plugin_lock::text as "plugin_lock!", v.plugin_versions::text as "plugin_versions!",
                      v.created_at
               from workflow_versions v
               join workflows w on w.id = v.workflow_id
               where v.workflow_id = $1 and v.version = $2"#,
            workflow_id,
            version,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("workflow version", format!("{workflow_id}/{version}")))?;
        Ok(Version {
            workflow_id: row.workflow_id,
            name: row.name,
            version: row.version,
            digest: row.digest,
            definition: parse("definition", &row.definition)?,
            plugin_lock: lock(&row.plugin_lock, &row.plugin_versions)?,
            created_at: row.created_at,
        })
    }
}

async fn insert_version(
    transaction: &mut sqlx::PgTransaction<'_>,
    workflow_id: Uuid,
    version: i32,
    new: &NewVersion,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into workflow_versions (workflow_id, version, namespace_id, digest, definition, plugin_lock,
                                        plugin_versions, retention)
         values ($1, $2, $3, $4, $5::text::json, $6::text::json, $7::text::json, $8::text::jsonb)",
        workflow_id,
        version,
        new.namespace_id,
        new.digest(),
        // As text: the binary form would sort the author's fields.
        new.definition.to_string(),
        of_lock(new, |plugin| Some(&plugin.digest)),
        of_lock(new, |plugin| plugin.version.as_ref()),
        // By itself: Postgres cannot look into all that a definition may say, such as a NUL.
        new.definition.get("retention").map(Value::to_string),
    )
    .execute(&mut **transaction)
    .await?;
    replace_triggers(transaction, workflow_id, version, new).await
}

/// One side of a lock, by step type, as JSON text.
fn of_lock(new: &NewVersion, side: impl Fn(&LockedPlugin) -> Option<&String>) -> String {
    let sides = new.plugin_lock.iter().filter_map(|(written, it)| Some((written, side(it)?)));
    json!(sides.collect::<BTreeMap<_, _>>()).to_string()
}

/// A lock from its two sides.
fn lock(digests: &str, versions: &str) -> Result<PluginLock, StoreError> {
    let digests: BTreeMap<String, String> = parse("plugin lock", digests)?;
    let mut versions: BTreeMap<String, String> = parse("plugin versions", versions)?;
    let locked = |(written, digest)| {
        let version = versions.remove(&written);
        (written, LockedPlugin { digest, version })
    };
    Ok(digests.into_iter().map(locked).collect())
}

/// The events that start the workflow are those of its newest version.
async fn replace_triggers(
    transaction: &mut sqlx::PgTransaction<'_>,
    workflow_id: Uuid,
    version: i32,
    new: &NewVersion,
) -> Result<(), StoreError> {
    sqlx::query!("delete from triggers where workflow_id = $1", workflow_id)
        .execute(&mut **transaction)
        .await?;
    if new.events.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into triggers (namespace_id, name, workflow_id, version)
         select $1, name, $3, $4 from unnest($2::text[]) as e (name)
         on conflict do nothing",
        new.namespace_id,
        &new.events,
        workflow_id,
        version,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
