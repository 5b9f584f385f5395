//! What `doctor` makes of the database: each finding with what to do about it.

use std::time::Duration;

use store::diagnosis::{Clocks, Connections, Durability, OpenTransaction, Partitions, Sequence};
use store::{Store, StoreError, StoreSettings};

use super::doctor::Finding;

/// Ids and due times come from machines' clocks: beyond the first, things look odd; beyond the second, work is late or
/// in wrong weeks.
const CLOCK_WARN_SECONDS: f64 = 1.0;
const CLOCK_FAIL_SECONDS: f64 = 30.0;
/// Fewer connections than this, and the next process may not start.
const MIN_FREE: i64 = 5;
/// The reaper looks every third of a lease, which is 15 s unless set.
const STUCK_AFTER: Duration = Duration::from_mins(1);
/// A sequence that is used to this part has to be looked after now.
const SEQUENCE_FAIL: f64 = 0.95;

/// All that can be found out about a database.
pub(super) async fn database(settings: StoreSettings, long: Duration) -> Vec<Finding> {
    let schema = settings.schema.to_string();
    let store = match Store::open(settings).await {
        Ok(store) => store,
        Err(error) => {
            return vec![Finding::fail(
                "database",
                chain(&error),
                "look at DATABASE_URL, and at the server's log",
            )];
        }
    };
    let mut findings = vec![schema_version(&store, &schema).await];
    // Whatever else there is to say needs the tables of this build.
    if findings.iter().all(|it| !it.is_failure()) {
        findings.extend(looks(&store, long).await);
    }
    store.close().await;
    findings
}

async fn looks(store: &Store, long: Duration) -> Vec<Finding> {
    vec![
        judged("clock", store.clocks().await, clock),
        judged("connections", store.connections().await, connections),
        judged("indexes", store.faulty_indexes().await, indexes),
        judged("vacuum", store.bloat().await, |tables| {
            let named = tables.iter().map(|it| {
                let when = it.vacuumed_at.map_or("never".to_owned(), |at| at.to_rfc3339());
                format!(
                    "{}: {} dead of {} rows, vacuumed {when}",
                    it.table,
                    it.dead,
                    it.live + it.dead
                )
            });
            listed(
                "vacuum",
                &named.collect::<Vec<_>>(),
                "tables are vacuumed in time",
                "vacuum them (`vacuum TABLE`), and look for what keeps autovacuum: long transactions, its settings",
            )
        }),
        judged("leases", store.stuck_leases(STUCK_AFTER).await, leases),
        judged("partitions", store.partitions().await, partitions),
        judged("transactions", store.open_transactions(long).await, |it| transactions(&it)),
        judged("durability", store.durability().await, |it| durability(&it)),
        judged("sequences", store.sequences().await, |it| sequences(&it)),
    ]
}

fn judged<T>(
    what: &'static str,
    read: Result<T, StoreError>,
    judge: impl FnOnce(T) -> Finding,
) -> Finding {
    match read {
        Ok(read) => judge(read),
        Err(error) => Finding::fail(what, chain(&error), "it could not be looked at"),
    }
}

async fn schema_version(store: &Store, schema: &str) -> Finding {
    let read = async { Ok::<_, StoreError>((store.ping().await?, store.schema_version().await?)) };
    let newest = Store::latest_schema_version();
    let migrate = "run `stateflow migrate`";
    match read.await {
        Err(error) => Finding::fail("database", chain(&error), "look at the server's log"),
        Ok((_, None)) => Finding::fail("database", format!("schema {schema} is empty"), migrate),
        Ok((_, Some(version))) if version < newest => Finding::fail(
            "database",
            format!("schema {schema} is at version {version}, this build wants {newest}"),
            migrate,
        ),
        Ok((took, Some(version))) => {
            let said = format!("answers in {took:.1?}; schema {schema} is at version {version}");
            match store.oldest_known().await {
                Ok(oldest) if oldest > newest => Finding::fail(
                    "database",
                    format!(
                        "{said}, which wants a build that knows {oldest}; this one knows {newest}"
                    ),
                    "use a newer build",
                ),
                _ => Finding::ok("database", said),
            }
        }
    }
}

fn clock(clocks: Clocks) -> Finding {
    let Clocks { ahead_seconds, round_trip } = clocks;
    let off = ahead_seconds.abs() - round_trip.as_secs_f64() / 2.0;
    let side = if ahead_seconds < 0.0 { "behind" } else { "ahead of" };
    let said = format!("the database's is {:.3} s {side} this machine's", ahead_seconds.abs());
    let help = "synchronise both with NTP";
    match off {
        off if off > CLOCK_FAIL_SECONDS => Finding::fail("clock", said, help),
        off if off > CLOCK_WARN_SECONDS => Finding::warn("clock", said, help),
        _ => Finding::ok("clock", said),
    }
}

fn connections(count: Connections) -> Finding {
    let Connections { limit, open, others, pools } = count;
    let said = format!(
        "{open} of {limit} are open; the workers' pools may take {pools}, others have {others}"
    );
    let help = "raise max_connections, or lower --connections of the processes";
    if limit - open < MIN_FREE {
        Finding::fail("connections", said, help)
    } else if pools + others > limit {
        Finding::warn("connections", said, help)
    } else {
        Finding::ok("connections", said)
    }
}

fn indexes((missing, invalid): (Vec<String>, Vec<String>)) -> Finding {
    if missing.is_empty() && invalid.is_empty() {
        return Finding::ok("indexes", "all are there and valid".to_owned());
    }
    let mut said = Vec::new();
    if !missing.is_empty() {
        said.push(format!("missing: {}", missing.join(", ")));
    }
    if !invalid.is_empty() {
        said.push(format!("not valid: {}", invalid.join(", ")));
    }
    Finding::fail(
        "indexes",
        said.join("; "),
        "make the missing ones as `migrations/` has them; `reindex index NAME` mends invalid ones",
    )
}

fn leases(stuck: i64) -> Finding {
    if stuck == 0 {
        return Finding::ok("leases", "none is held by a worker that is gone".to_owned());
    }
    Finding::fail(
        "leases",
        format!("{stuck} are held by workers that are gone, and nobody takes them away"),
        "start a worker; if one runs, look at its log",
    )
}

fn partitions(found: Partitions) -> Finding {
    let Partitions { strays, next_week } = found;
    if !strays.is_empty() {
        let named: Vec<_> =
            strays.iter().map(|(table, count)| format!("{count} of {table}")).collect();
        return Finding::warn(
            "partitions",
            format!("rows outside of the weekly partitions: {}", named.join(", ")),
            "compare the clocks of all machines; the rows work, and retention takes them in time",
        );
    }
    if !next_week {
        return Finding::warn(
            "partitions",
            "next week's are missing".to_owned(),
            "start a worker: it makes them; if one runs, look at its log",
        );
    }
    Finding::ok("partitions", "next week's are there, and nothing is outside of them".to_owned())
}

fn transactions(open: &[OpenTransaction]) -> Finding {
    let named = open.iter().map(|it| {
        let kind = if it.prepared { "prepared transaction" } else { "process" };
        format!("{kind} {} since {:.0} s ({})", it.name, it.seconds, it.doing)
    });
    listed(
        "transactions",
        &named.collect::<Vec<_>>(),
        "none has been open for long",
        "end them: `select pg_terminate_backend(PID)`, `rollback prepared 'NAME'`; they keep vacuum and retention from their work",
    )
}

fn durability(found: &Durability) -> Finding {
    if found.standby {
        return Finding::fail(
            "durability",
            "the server is a standby, and takes no writes".to_owned(),
            "connect to the primary",
        );
    }
    if !found.off.is_empty() {
        return Finding::fail(
            "durability",
            format!("off: {}", found.off.join(", ")),
            "switch them on: without them a crash corrupts, or tables grow for ever",
        );
    }
    if !found.unlogged.is_empty() {
        return Finding::fail(
            "durability",
            format!("a crash empties {}", found.unlogged.join(", ")),
            "`alter table NAME set logged`",
        );
    }
    Finding::ok("durability", "a crash loses nothing that was answered for".to_owned())
}

fn sequences(found: &[Sequence]) -> Finding {
    let worst = found.iter().map(|it| it.used).fold(0.0, f64::max);
    let named: Vec<_> =
        found.iter().map(|it| format!("{} is used to {:.0} %", it.name, it.used * 100.0)).collect();
    let help = "`alter sequence NAME maxvalue …`, or `as bigint` if it is an integer";
    if worst > SEQUENCE_FAIL {
        return Finding::fail("sequences", named.join("; "), help);
    }
    listed("sequences", &named, "none is near its end", help)
}

fn listed(what: &'static str, named: &[String], well: &str, help: &'static str) -> Finding {
    if named.is_empty() {
        return Finding::ok(what, well.to_owned());
    }
    Finding::warn(what, named.join("; "), help)
}

fn chain(error: &StoreError) -> String {
    let mut said = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        said = format!("{said}: {error}");
        source = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Mark;

    /// No test can set a server's clock.
    #[test]
    fn clocks_that_differ_by_more_than_their_distance_are_told() {
        let judge = |ahead_seconds, round_trip| clock(Clocks { ahead_seconds, round_trip }).mark;
        let near = Duration::from_millis(1);
        assert_eq!(judge(0.9, near), Mark::Ok);
        assert_eq!(judge(1.1, near), Mark::Warn);
        assert_eq!(judge(-1.1, near), Mark::Warn);
        assert_eq!(judge(-31.0, near), Mark::Fail);
        assert_eq!(judge(1.1, Duration::from_secs(1)), Mark::Ok, "that may be the network");
    }

    #[test]
    fn connections_are_counted_against_what_all_pools_may_take() {
        let judge =
            |open, others, pools| connections(Connections { limit: 97, open, others, pools }).mark;
        assert_eq!(judge(92, 7, 90), Mark::Ok);
        assert_eq!(judge(10, 8, 90), Mark::Warn);
        assert_eq!(judge(93, 0, 0), Mark::Fail);
    }
}
