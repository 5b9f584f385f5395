#!/usr/bin/env bash
# Brings back what backup.sh wrote: restore.sh [--yes] FILE
#
# Where the schema exists it refuses, unless --yes is given; then the old schema is renamed and kept, not dropped.
# It always refuses while a worker is alive. Environment: DATABASE_URL, STATEFLOW_SCHEMA (the name that the schema had).
# Exit code: 0 restored and verified, 1 not (and nothing changed), 2 called wrongly.
set -euo pipefail

usage() { echo "usage: $0 [--yes] FILE" >&2; exit 2; }
yes=
if [ "${1:-}" = --yes ]; then
    yes=1
    shift
fi
if [ $# -ne 1 ] || [[ $1 == -* ]]; then usage; fi
file=$1
for part in "$file" "$file.rows" "$file.sha256"; do
    [ -r "$part" ] || { echo "$0: cannot read $part" >&2; exit 2; }
done
# shellcheck source=deploy/database.sh
source "$(dirname "$0")/database.sh"

(cd "$(dirname "$file")" && sha256sum --quiet --check "$(basename "$file").sha256") || {
    echo "$0: $file is not what was backed up" >&2
    exit 1
}
# Counted, and not `grep -q`, which would leave while the other still writes.
[ "$(pg_restore --list "$file" | grep -c " SCHEMA - $schema ")" = 1 ] || {
    echo "$0: $file has no schema $schema: set STATEFLOW_SCHEMA to the one that was backed up" >&2
    exit 1
}

kept=
exists=$(query "select count(*) from pg_namespace where nspname = '$schema'")
if [ "$exists" = 1 ]; then
    if [ "$(query "select to_regclass('$schema.workers') is not null")" = t ]; then
        alive=$(query "select count(*) from $schema.workers where lease_until > now()")
        [ "$alive" = 0 ] || { echo "$0: $alive workers are alive: stop StateFlow first" >&2; exit 1; }
    fi
    [ -n "$yes" ] || {
        echo "$0: the schema $schema exists; --yes renames it and restores beside it" >&2
        exit 1
    }
    # Two in a second have names of their own.
    kept=${schema:0:36}_until_$(date -u +%Y%m%d_%H%M%S)_$$
    query "alter schema $schema rename to $kept"
fi

# What was begun is taken back: the old schema has its name again.
back_out() {
    query "drop schema if exists $schema cascade" >/dev/null 2>&1 || true
    [ -z "$kept" ] || query "alter schema $kept rename to $schema"
    echo "$0: nothing was restored${kept:+; the schema is as it was}" >&2
    exit 1
}
pg_restore --dbname "$database" --single-transaction --exit-on-error --no-owner --no-privileges "$file" || back_out

counts=$(query "$(tables | counting)" | sort)
diff "$file.rows" - <<<"$counts" || {
    echo "$0: the numbers of rows differ" >&2
    back_out
}
# The workers of then are not there any more: what they held is taken over at once, not when their leases lapse.
query "delete from $schema.workers"
# Without statistics the first hours would be slow.
query "analyze $(tables | sed "s/.*/$schema.\"&\"/" | paste -sd,)"

total=$(awk -F'|' '{ rows += $2 } END { print rows }' "$file.rows")
echo "restore: $(wc -l <"$file.rows") tables, $total rows, as in the backup"
[ -z "$kept" ] || echo "restore: what was there is the schema $kept; drop it when you are sure: drop schema $kept cascade"
