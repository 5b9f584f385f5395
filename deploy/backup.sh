#!/usr/bin/env bash
# Writes StateFlow's schema to one file, while StateFlow goes on: backup.sh FILE
#
# Beside FILE appear FILE.rows, how many rows each table had in the same snapshot, and FILE.sha256. restore.sh checks
# both. Environment: DATABASE_URL, STATEFLOW_SCHEMA. Exit code: 0 written and verified, 1 not, 2 called wrongly.
#
# Not in it: the keys for secrets (STATEFLOW_SECRETS_KEY_FILE). Without them the stored secrets cannot be opened.
set -euo pipefail

if [ $# -ne 1 ] || [[ $1 == -* ]]; then
    echo "usage: $0 FILE" >&2
    exit 2
fi
file=$1
[ ! -e "$file" ] || { echo "$0: $file exists" >&2; exit 2; }
# shellcheck source=deploy/database.sh
source "$(dirname "$0")/database.sh"

unfinished=$(mktemp -d "$(dirname "$file")/.backup.XXXXXX")
trap 'rm -rf "$unfinished"' EXIT

# One session keeps a snapshot open: the dump and the counts see the same instant.
coproc session { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 --dbname "$database"; }
# The descriptors go with the session; without copies they could not be closed twice.
exec {ask}>&"${session[1]}" {answer}<&"${session[0]}"
{
    echo "begin isolation level repeatable read, read only;"
    echo "select pg_export_snapshot();"
} >&"$ask"
read -r snapshot <&"$answer" || { echo "$0: the database does not answer" >&2; exit 1; }

names=$(tables)
[ -n "$names" ] || { echo "$0: there is no schema $schema in this database" >&2; exit 1; }
pg_dump --dbname "$database" --format custom --schema "$schema" --no-owner --no-privileges \
    --snapshot "$snapshot" --file "$unfinished/dump"
{
    counting <<<"$names"
    echo "; commit;"
    echo "\\q"
} >&"$ask"
sort <&"$answer" >"$unfinished/rows"

# A file that cannot be read back is no backup.
dumped=$(pg_restore --list "$unfinished/dump" | grep -c ' TABLE DATA ')
wanted=$(wc -l <<<"$names")
counted=$(wc -l <"$unfinished/rows")
if [ "$dumped" -ne "$wanted" ] || [ "$counted" -ne "$wanted" ]; then
    echo "$0: $wanted tables, but $dumped in the dump and $counted counted" >&2
    exit 1
fi
pg_restore --file /dev/null "$unfinished/dump"

mv "$unfinished/rows" "$file.rows"
mv "$unfinished/dump" "$file"
(cd "$(dirname "$file")" && sha256sum "$(basename "$file")" "$(basename "$file").rows" >"$(basename "$file").sha256")
total=$(awk -F'|' '{ rows += $2 } END { print rows }' "$file.rows")
echo "backup: $file, $(du -h "$file" | cut -f1), $wanted tables, $total rows"
