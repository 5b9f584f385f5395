# shellcheck shell=bash
# For the scripts beside it, which source it: how to reach the database without showing its password to `ps`.
# Needs DATABASE_URL; sets `database`, a URL without the password, and PGPASSWORD; `schema` is where the tables are.

[ -n "${DATABASE_URL:-}" ] || { echo "$0: DATABASE_URL is not set" >&2; exit 2; }
schema=${STATEFLOW_SCHEMA:-stateflow}
[[ $schema =~ ^[a-z_][a-z0-9_]*$ ]] || { echo "$0: STATEFLOW_SCHEMA is not a schema's name: $schema" >&2; exit 2; }

database=$DATABASE_URL
if [[ $DATABASE_URL =~ ^(postgres(ql)?://[^:@/]+):([^@/]*)@(.*)$ ]]; then
    database=${BASH_REMATCH[1]}@${BASH_REMATCH[4]}
    # Percent-encoded in a URL, plain in the environment.
    printf -v PGPASSWORD '%b' "${BASH_REMATCH[3]//%/\\x}"
    export PGPASSWORD
fi
# One order of names, whoever sorts.
export LC_ALL=C PGAPPNAME=stateflow-${0##*/} PGCONNECT_TIMEOUT=${PGCONNECT_TIMEOUT:-5}

# The answer of one statement: columns separated by |, no headings.
query() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname "$database" --command "$1"; }

# The tables of the schema; partitions count as tables, what they are partitions of does not.
tables() {
    query "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = '$schema' and c.relkind = 'r' order by 1"
}

# A statement that counts the rows of the tables that standard input names.
counting() {
    sed "s/.*/select '&', count(*) from $schema.\"&\"/" | paste -sd '~' | sed 's/~/ union all /g'
}
