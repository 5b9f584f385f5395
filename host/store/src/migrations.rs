//! The schema's version: up, down, and whether this build fits a schema that is newer than it.

use chrono::{DateTime, Utc};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::connection::connect_options;
use crate::{Schema, Store, StoreError, StoreSettings};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// What became of going up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrated {
    /// The schema is at this version.
    At(i64),
    /// A newer build has been here. The schema is at this version, and this build may run on it.
    Newer(i64),
}

/// A migration, and when it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// When it was applied; none if it is pending.
    pub applied_at: Option<DateTime<Utc>>,
    /// Whether this build knows it.
    pub known: bool,
}

impl Store {
    /// Creates the schema if need be and brings it to this build's version, or to `target`. A schema that is newer and says
    /// that this build fits is left as it is.
    pub async fn migrate_to(
        settings: &StoreSettings,
        target: Option<i64>,
    ) -> Result<Migrated, StoreError> {
        let newest = Self::latest_schema_version();
        let target = target.unwrap_or(newest);
        check_target(target)?;
        let mut connection = PgConnection::connect_with(&connect_options(settings)?).await?;
        // Two processes that start at once may both find no schema; the loser sees a unique violation.
        if let Err(error) = create_schema(&settings.schema, &mut connection).await {
            tracing::debug!(%error, "somebody else may have created the schema at the same time");
            create_schema(&settings.schema, &mut connection).await?;
        }
        let outcome = match newer(&mut connection).await? {
            Some(version) => {
                let oldest = oldest_known(&mut connection).await?;
                if oldest > newest {
                    return Err(StoreError::Settings(format!(
                        "schema {} is at version {version} and no longer fits this build, which knows {newest}: it wants a \
                         build that knows {oldest}",
                        settings.schema
                    )));
                }
                Migrated::Newer(version)
            }
            None => {
                MIGRATOR.run_to(target, &mut connection).await?;
                Migrated::At(applied(&mut connection).await?.unwrap_or_default())
            }
        };
        connection.close().await?;
        Ok(outcome)
    }

    /// [`Store::migrate_to`] this build's version.
    pub async fn migrate(settings: &StoreSettings) -> Result<Migrated, StoreError> {
        Self::migrate_to(settings, None).await
    }

    /// Takes migrations back, down to and not including `version`. Data is lost with them.
    pub async fn revert(settings: &StoreSettings, version: i64) -> Result<(), StoreError> {
        check_target(version)?;
        let mut connection = PgConnection::connect_with(&connect_options(settings)?).await?;
        if let Some(newer) = newer(&mut connection).await? {
            return Err(StoreError::Settings(format!(
                "schema {} is at version {newer}: only a build that knows it knows the way down",
                settings.schema
            )));
        }
        MIGRATOR.undo(&mut connection, version).await?;
        connection.close().await?;
        Ok(())
    }

    /// The migrations that this build knows, and those that were applied and it does not, in order.
    pub async fn migrations(settings: &StoreSettings) -> Result<Vec<MigrationState>, StoreError> {
        let mut connection = PgConnection::connect_with(&connect_options(settings)?).await?;
        let mut states: Vec<_> = MIGRATOR
            .iter()
            .filter(|it| it.migration_type.is_up_migration())
            .map(|it| MigrationState {
                version: it.version,
                description: it.description.to_string(),
                applied_at: None,
                known: true,
            })
            .collect();
        if has_history(&mut connection).await? {
            let rows: Vec<(i64, String, DateTime<Utc>)> = sqlx::query_scalar(
                "select (version, description, installed_on) from _sqlx_migrations where success order by version",
            )
            .fetch_all(&mut connection)
            .await?;
            for (version, description, at) in rows {
                match states.iter_mut().find(|it| it.version == version) {
                    Some(state) => state.applied_at = Some(at),
                    None => states.push(MigrationState {
                        version,
                        description,
                        applied_at: Some(at),
                        known: false,
                    }),
                }
            }
        }
        states.sort_by_key(|it| it.version);
        connection.close().await?;
        Ok(states)
    }

    /// The version of the newest migration that this build knows.
    pub fn latest_schema_version() -> i64 {
        MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or_default()
    }

    /// The version of the newest migration that is applied; `None` on an empty schema.
    pub async fn schema_version(&self) -> Result<Option<i64>, StoreError> {
        applied(&mut *self.pool.acquire().await?).await
    }

    /// The version that a build has to know at least to run on this schema.
    pub async fn oldest_known(&self) -> Result<i64, StoreError> {
        oldest_known(&mut *self.pool.acquire().await?).await
    }
}

/// The texts of the migrations up to a version, in order.
pub(crate) fn up_scripts(version: i64) -> impl Iterator<Item = &'static str> {
    let up = MIGRATOR.iter().filter(|it| it.migration_type.is_up_migration());
    up.filter(move |it| it.version <= version).map(|it| it.sql.as_str())
}

fn check_target(version: i64) -> Result<(), StoreError> {
    let newest = Store::latest_schema_version();
    if (0..=newest).contains(&version) {
        return Ok(());
    }
    Err(StoreError::NoVersion { version, newest })
}

/// The schema's version if it is above what this build knows.
///
/// Unknown migrations among the known ones are no newer schema but another one, which the migrator refuses.
async fn newer(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    let version = applied(connection).await?.unwrap_or_default();
    if version <= Store::latest_schema_version() {
        return Ok(None);
    }
    let unknown: Option<i64> = sqlx::query_scalar(
        "select min(version) from _sqlx_migrations where version <= $1 and version <> all ($2)",
    )
    .bind(Store::latest_schema_version())
    .bind(MIGRATOR.iter().map(|it| it.version).collect::<Vec<_>>())
    .fetch_one(connection)
    .await?;
    match unknown {
        Some(unknown) => Err(MigrateError::VersionMissing(unknown).into()),
        None => Ok(Some(version)),
    }
}

async fn oldest_known(connection: &mut PgConnection) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!("select oldest_known from installation").fetch_one(connection).await?)
}

async fn has_history(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select to_regclass(quote_ident(current_schema()) || '._sqlx_migrations') is not null as "it!""#
    )
    .fetch_one(connection)
    .await?)
}

async fn applied(connection: &mut PgConnection) -> Result<Option<i64>, StoreError> {
    if !has_history(connection).await? {
        return Ok(None);
    }
    // Not a checked query: the migrator's own table is not there when those are checked.
    Ok(sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
        .fetch_one(connection)
        .await?)
}

async fn create_schema(schema: &Schema, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // The name needs no quoting: `Schema` has checked it.
    let create = AssertSqlSafe(format!("create schema if not exists {schema}"));
    sqlx::raw_sql(create).execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first migration that may take something away and has to say who can do without.
    const FIRST: i64 = 22;

    #[test]
    fn a_migration_that_takes_something_away_says_which_builds_do_without() {
        let taking = ["drop table", "drop column", "rename column", "rename to", "set not null"];
        for migration in MIGRATOR.iter().filter(|it| it.version >= FIRST) {
            if migration.migration_type.is_down_migration() {
                continue;
            }
            let text = migration.sql.as_str().to_lowercase();
            let code: String =
                text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            let takes = taking.iter().any(|it| code.contains(it));
            assert!(
                !takes || code.contains("update installation set oldest_known"),
                "migration {} takes something away",
                migration.version
            );
        }
    }
}
