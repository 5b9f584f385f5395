//! What an operator should know about the database: read for `stateflow doctor`, judged there. Nothing here changes anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::migrations::up_scripts;
use crate::retention::interval;
use crate::{Store, StoreError};

/// The database's clock, and this machine's.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// How far the database's is ahead, in seconds.
    pub ahead_seconds: f64,
    /// How far off that may be: the round trip.
    pub round_trip: Duration,
}

/// Connections to the server.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// What users without privileges may open.
    pub limit: i64,
    /// What is open.
    pub open: i64,
    /// What is open of others than `StateFlow`.
    pub others: i64,
    /// What the pools of all workers may open.
    pub pools: i64,
}

/// A table whose dead rows wait for vacuum.
#[derive(Clone, Debug)]
pub struct Bloat {
    /// Its name.
    pub table: String,
    /// Rows.
    pub live: i64,
    /// Dead ones.
    pub dead: i64,
    /// When it was vacuumed last.
    pub vacuumed_at: Option<DateTime<Utc>>,
}

/// A transaction that has been open for long.
#[derive(Clone, Debug)]
pub struct OpenTransaction {
    /// The process of the server that has it, or the name of a prepared one.
    pub name: String,
    /// Since when, in seconds.
    pub seconds: f64,
    /// Who it says that it is, and what it does.
    pub doing: String,
    /// Prepared: it survives its session, and a restart.
    pub prepared: bool,
}

/// How safe the server is from a crash.
#[derive(Clone, Debug)]
pub struct Durability {
    /// It only repeats what another server does.
    pub standby: bool,
    /// Settings that are off and must be on.
    pub off: Vec<String>,
    /// Tables that a crash empties, beside the one that is meant to be.
    pub unlogged: Vec<String>,
}

/// A sequence.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Its name.
    pub name: String,
    /// How much of it is used, from 0 to 1.
    pub used: f64,
}

/// Where rows should not be, and tables that should be there.
#[derive(Clone, Debug)]
pub struct Partitions {
    /// Rows in the default partitions, up to a thousand of each, by table.
    pub strays: BTreeMap<String, i64>,
    /// Whether next week's partitions are there.
    pub next_week: bool,
}

impl Store {
    /// Compares the clocks.
    pub async fn clocks(&self) -> Result<Clocks, StoreError> {
        // The first call may have to connect.
        self.ping().await?;
        let (before, began) = (Utc::now(), Instant::now());
        let theirs = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
            .fetch_one(&self.pool)
            .await?;
        let round_trip = began.elapsed();
        let ahead = (theirs - before).as_seconds_f64() - round_trip.as_secs_f64() / 2.0;
        Ok(Clocks { ahead_seconds: ahead, round_trip })
    }

    /// Counts connections.
    pub async fn connections(&self) -> Result<Connections, StoreError> {
        Ok(sqlx::query_as!(
            Connections,
            r#"select current_setting('max_connections')::bigint
                          - current_setting('superuser_reserved_connections')::bigint as "limit!",
                      (select count(*) from pg_stat_activity where backend_type = 'client backend') as "open!",
                      (select count(*) from pg_stat_activity
                       where backend_type = 'client backend' and application_name <> 'stateflow') as "others!",
                      (select coalesce(sum(connections), 0) from workers where lease_until > now()) as "pools!""#
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Indexes that the migrations make and that are not there, and such as are there and not valid.
    pub async fn faulty_indexes(&self) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let rows = sqlx::query!(
            r#"select c.relname as "name!", i.indisvalid and i.indisready as "valid!"
               from pg_index i
               join pg_class c on c.oid = i.indexrelid
               where c.relnamespace = current_schema()::regnamespace"#
        )
        .fetch_all(&self.pool)
        .await?;
        let applied = self.schema_version().await?.unwrap_or_default();
        let missing = expected_indexes(applied)
            .into_keys()
            .filter(|name| !rows.iter().any(|row| row.name == *name))
            .collect();
        let invalid = rows.into_iter().filter(|row| !row.valid).map(|row| row.name).collect();
        Ok((missing, invalid))
    }

    /// Tables with more than ten thousand dead rows and more than a fifth of their rows dead: autovacuum falls behind.
    pub async fn bloat(&self) -> Result<Vec<Bloat>, StoreError> {
        Ok(sqlx::query_as!(
            Bloat,
            r#"select relname as "table!", n_live_tup as "live!", n_dead_tup as "dead!",
                      greatest(last_vacuum, last_autovacuum) as vacuumed_at
               from pg_stat_user_tables
               where schemaname = current_schema() and n_dead_tup > 10000 and n_dead_tup > 0.2 * n_live_tup
               order by n_dead_tup desc
               limit 5"#
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Executions whose holder has been silent for this long after its lease: nobody takes them away.
    pub async fn stuck_leases(&self, longer: Duration) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar!(
            r#"select count(*) as "it!"
               from queue q
               where q.worker_id is not null
                 and not exists (select from workers w where w.id = q.worker_id and w.lease_until > now() - $1::interval)"#,
            interval(Some(longer)),
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Looks at the partitions.
    pub async fn partitions(&self) -> Result<Partitions, StoreError> {
        let row = sqlx::query!(
            r#"select (select count(*) from (select from executions_default limit 1000) s) as "executions!",
                      (select count(*) from (select from attempts_default limit 1000) s) as "attempts!",
                      (select count(*) from (select from families_default limit 1000) s) as "families!",
                      (select count(*) from (select from messages_default limit 1000) s) as "messages!",
                      to_regclass('executions_' || to_char(date_trunc('week', now() at time zone 'utc')
                                                           + interval '7 days', 'YYYYMMDD')) is not null as "next_week!""#
        )
        .fetch_one(&self.pool)
        .await?;
        let counted = [
            ("executions", row.executions),
            ("attempts", row.attempts),
            ("families", row.families),
            ("messages", row.messages),
        ];
        let strays = counted.into_iter().filter(|(_, count)| *count > 0);
        let strays = strays.map(|(table, count)| (table.to_owned(), count)).collect();
        Ok(Partitions { strays, next_week: row.next_week })
    }

    /// Transactions of this database that have been open for longer than this, the oldest first.
    pub async fn open_transactions(
        &self,
        longer: Duration,
    ) -> Result<Vec<OpenTransaction>, StoreError> {
        Ok(sqlx::query_as!(
            OpenTransaction,
            r#"select pid::text as "name!", extract(epoch from now() - xact_start)::float8 as "seconds!",
                      concat_ws(', ', usename, nullif(application_name, ''), state, left(query, 60)) as "doing!",
                      false as "prepared!"
               from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
                 and xact_start < now() - $1::interval
               union all
               select gid, extract(epoch from now() - prepared)::float8, owner::text, true
               from pg_prepared_xacts
               where database = current_database() and prepared < now() - $1::interval
               order by 2 desc
               limit 5"#,
            interval(Some(longer)),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// What a crash would take.
    pub async fn durability(&self) -> Result<Durability, StoreError> {
        let row = sqlx::query!(
            r#"select pg_is_in_recovery() as "standby!",
                      array(select name from pg_settings
                            where name in ('fsync', 'full_page_writes', 'autovacuum') and setting = 'off'
                            order by name) as "off!",
                      array(select relname::text from pg_class
                            where relnamespace = current_schema()::regnamespace and relkind = 'r'
                              and relpersistence = 'u' and relname <> 'live_logs'
                            order by relname) as "unlogged!""#
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Durability { standby: row.standby, off: row.off, unlogged: row.unlogged })
    }

    /// Sequences of which most is used.
    pub async fn sequences(&self) -> Result<Vec<Sequence>, StoreError> {
        Ok(sqlx::query_as!(
            Sequence,
            r#"select sequencename::text as "name!", last_value::float8 / max_value::float8 as "used!"
               from pg_sequences
               where schemaname = current_schema() and last_value is not null
                 and last_value::float8 / max_value::float8 > 0.8
               order by 2 desc"#
        )
        .fetch_all(&self.pool)
        .await?)
    }
}

/// The indexes that have names in the migrations up to a version, and their tables.
fn expected_indexes(version: i64) -> BTreeMap<String, String> {
    let mut indexes = BTreeMap::new();
    for text in up_scripts(version) {
        let words: Vec<_> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .flat_map(|line| line.split([' ', '(', ';', ',']))
            .filter(|word| !word.is_empty())
            .collect();
        for (at, word) in words.iter().enumerate() {
            let after = |by: usize| words.get(at + by).copied().unwrap_or_default();
            let before = at.checked_sub(1).and_then(|at| words.get(at)).copied();
            match (before, *word) {
                (Some("create" | "unique"), "index") if after(2) == "on" => {
                    indexes.insert(after(1).to_owned(), after(3).to_owned());
                }
                (Some("drop"), "index") => drop(indexes.remove(after(1))),
                (Some("drop"), "table") => indexes.retain(|_, table| table != after(1)),
                _ => {}
            }
        }
    }
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_read_from_the_migrations() {
        let first = expected_indexes(1);
        assert_eq!(first["queue_due"], "queue");
        assert_eq!(first["workflows_name"], "workflows");
        assert!(!first.contains_key("messages_name"));
        let all = expected_indexes(i64::MAX);
        assert_eq!(all["messages_name"], "messages");
        assert_eq!(all["executions_workflow"], "executions", "it was dropped and made again");
    }
}
