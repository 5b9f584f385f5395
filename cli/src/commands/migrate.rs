//! `migrate`: the schema, up, down, and where it is.

use std::process::ExitCode;

use anyhow::bail;
use serde_json::json;
use store::{Migrated, MigrationState, Store, StoreError, StoreSettings};

use crate::arguments::{Direction, MigrateOptions};
use crate::output::Usage;
use crate::{configuration, output};

pub(crate) async fn migrate(options: MigrateOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let settings = configuration::store(&options.database, 4)?;
    match (options.direction, options.down_to.or(options.to)) {
        _ if options.down_to.is_some() => down(&settings, options.down_to).await?,
        (Direction::Up, to) => up(&settings, to).await?,
        (Direction::Down, to) => down(&settings, to).await?,
        (Direction::Status, None) => return status(&settings, as_json).await,
        (Direction::Status, Some(_)) => bail!(Usage("`migrate status` takes no --to".into())),
    }
    Ok(ExitCode::SUCCESS)
}

async fn up(settings: &StoreSettings, to: Option<i64>) -> anyhow::Result<()> {
    match refused(Store::migrate_to(settings, to).await)? {
        Migrated::At(version) => {
            output::note(&format!("schema {} is at version {version}", settings.schema));
        }
        Migrated::Newer(version) => output::note(&format!(
            "schema {} is at version {version}, newer than this build, which knows {}; it fits, and nothing was changed",
            settings.schema,
            Store::latest_schema_version(),
        )),
    }
    Ok(())
}

async fn down(settings: &StoreSettings, to: Option<i64>) -> anyhow::Result<()> {
    let to = match to {
        Some(version) => version,
        None => {
            let states = Store::migrations(settings).await?;
            let applied: Vec<_> = states.iter().filter(|it| it.applied_at.is_some()).collect();
            applied.iter().rev().nth(1).map_or(0, |it| it.version)
        }
    };
    refused(Store::revert(settings, to).await)?;
    output::note(&format!("schema {} is at version {to}", settings.schema));
    Ok(())
}

/// A version that there is not, is called wrongly.
fn refused<T>(outcome: Result<T, StoreError>) -> anyhow::Result<T> {
    outcome.map_err(|error| match error {
        StoreError::NoVersion { .. } => Usage(error.to_string()).into(),
        error => error.into(),
    })
}

/// Fails if anything is pending, so that a script can wait for it.
async fn status(settings: &StoreSettings, as_json: bool) -> anyhow::Result<ExitCode> {
    let states = Store::migrations(settings).await?;
    if as_json {
        let items = states.iter().map(|it| {
            json!({ "version": it.version, "description": it.description, "appliedAt": it.applied_at, "known": it.known })
        });
        output::json(&json!({ "items": items.collect::<Vec<_>>() }))?;
    } else {
        for state in &states {
            output::line(format!(
                "{:>4}  {:<24}  {}",
                state.version,
                state.description,
                state_of(state)
            ))?;
        }
    }
    let pending = states.iter().any(|it| it.applied_at.is_none());
    Ok(if pending { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn state_of(state: &MigrationState) -> String {
    match state.applied_at {
        None => "pending".to_owned(),
        Some(at) if state.known => format!("applied {}", at.format("%Y-%m-%d %H:%M:%S")),
        Some(at) => format!("applied {}, by a newer build", at.format("%Y-%m-%d %H:%M:%S")),
    }
}
