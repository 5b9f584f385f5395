//! What can go wrong in the store, classified once. Nobody outside sees sqlx.

/// A failed call to the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("{what} `{id}` does not exist")]
    NotFound {
        /// What was looked for: `workflow`, `execution`, …
        what: &'static str,
        /// By which id or name.
        id: String,
    },
    /// It exists already, with other content.
    #[error("{0}")]
    Conflict(String),
    /// The database cannot be reached just now; trying again may help.
    #[error("the database is unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// What is stored cannot be read.
    #[error("stored {what} is unreadable")]
    Corrupt {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The schema's name or the settings are not usable.
    #[error("{0}")]
    Settings(String),
    /// The schema has no such version.
    #[error(
        "there is no version {version} of the schema: this build knows 0, which is nothing, to {newest}"
    )]
    NoVersion {
        /// What was asked for.
        version: i64,
        /// The newest that there is.
        newest: i64,
    },
    /// The migrations could not be applied.
    #[error("the schema could not be migrated")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// The store is being closed.
    #[error("the store is closing")]
    Closing,
}

impl StoreError {
    /// Whether the same call may succeed in a moment.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    pub(crate) fn not_found(what: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { what, id: format!("{id}") }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_)
            | E::Tls(_)
            | E::PoolTimedOut
            | E::PoolClosed
            | E::WorkerCrashed
            | E::Protocol(_) => Self::Unavailable(error),
            E::Database(database) if is_transient(database.code().as_deref()) => {
                Self::Unavailable(error)
            }
            _ => Self::Database(error),
        }
    }
}

/// `SQLSTATE`s that pass: connection trouble (08), too many connections (53), a server that is starting or stopping
/// (57P01 to 57P03), serialization trouble (40). Source: PostgreSQL documentation, appendix A.
fn is_transient(code: Option<&str>) -> bool {
    code.is_some_and(|code| {
        code.starts_with("08")
            || code.starts_with("53")
            || code.starts_with("57P")
            || code.starts_with("40")
    })
}
