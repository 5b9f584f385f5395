//! `doctor`: what works and what does not.

use std::process::ExitCode;

use store::{Store, StoreSettings};

use super::executions::text;
use crate::arguments::DatabaseOptions;
use crate::client::Client;
use crate::{configuration, output};

/// Checks, one per line; fails if one does.
pub(crate) async fn doctor(options: DatabaseOptions, client: &Client) -> anyhow::Result<ExitCode> {
    let mut well = true;
    well &= say("Postgres server programs", postgres_programs());
    if options.database_url.is_some() {
        let settings = configuration::store(&options, 4)?;
        well &= say("database", database(settings).await);
    } else {
        output::line("-    database: DATABASE_URL is not set, not looked at")?;
    }
    well &= say("server", client.get("/api/health").await.map(|it| text(&it["status"])));
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn say(what: &str, outcome: anyhow::Result<String>) -> bool {
    let (mark, text, well) = match outcome {
        Ok(text) => ("ok  ", text, true),
        Err(error) => ("FAIL", format!("{error:#}"), false),
    };
    // A broken pipe here only shortens the list.
    drop(output::line(format!("{mark} {what}: {text}")));
    well
}

fn postgres_programs() -> anyhow::Result<String> {
    let found = postgres::Binaries::find(None);
    let help = "none installed; `stateflow dev` fetches them when it can";
    found.map(|found| format!("version {}", found.major())).ok_or_else(|| anyhow::anyhow!(help))
}

async fn database(settings: StoreSettings) -> anyhow::Result<String> {
    let schema = settings.schema.to_string();
    let store = Store::open(settings).await?;
    let took = store.ping().await?;
    let version = store.schema_version().await?;
    let newest = Store::latest_schema_version();
    store.close().await;
    match version {
        Some(version) if version >= newest => {
            Ok(format!("answers in {took:.1?}; schema {schema} is at version {version}"))
        }
        Some(version) => anyhow::bail!(
            "schema {schema} is at version {version}, this build wants {newest}: run `stateflow migrate`"
        ),
        None => anyhow::bail!("schema {schema} is empty: run `stateflow migrate`"),
    }
}
