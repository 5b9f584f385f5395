#!/usr/bin/env bash
# Looks at what an installation or an upgrade needs, before it begins; changes nothing.
#
#   preflight.sh [--upgrade] [--processes N] [--free-mb N]
#
#   --upgrade      a StateFlow runs already: it has to be well, and nothing may be in the way of migrations
#   --processes N  how many processes of StateFlow there will be, API and workers together (3)
#   --free-mb N    what has to be free for compiled plugins and for uploads, in MB (1024)
#
# Environment: DATABASE_URL and the other variables of stateflow.env. Run it with the new binary on the PATH, as the
# user and on a machine that StateFlow will run on.
# Exit code: 0 nothing is in the way (warnings are possible), 1 something is, 2 called wrongly.
set -euo pipefail

upgrade='' processes=3 free_mb=1024
usage() { sed -n '4p' "$0" | sed 's/^# */usage: /' >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --upgrade) upgrade=1 ;;
        --processes | --free-mb)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage
            if [ "$1" = --processes ]; then processes=$2; else free_mb=$2; fi
            shift
            ;;
        *) usage ;;
    esac
    shift
done
# shellcheck source=deploy/database.sh
source "$(dirname "$0")/database.sh"

failures=0 warnings=0
ok() { printf 'ok    %-14s %s\n' "$1" "$2"; }
warn() { printf 'warn  %-14s %s\n' "$1" "$2"; warnings=$((warnings + 1)); }
fail() { printf 'FAIL  %-14s %s\n' "$1" "$2"; failures=$((failures + 1)); }

check_programs() {
    local program
    for program in stateflow psql; do
        if command -v "$program" >/dev/null; then
            ok programs "$("$program" --version | head -n 1)"
        else
            fail programs "$program is not on the PATH"
        fi
    done
}

check_postgres() {
    local version
    if ! version=$(query 'show server_version_num' 2>&1); then
        fail postgres "cannot be reached: ${version//$'\n'/ }"
        return 1
    fi
    if [ "$version" -ge 140000 ]; then
        ok postgres "version $((version / 10000))"
    else
        fail postgres "version $((version / 10000)); StateFlow needs 14 or later"
    fi
    [ "$(query 'select pg_is_in_recovery()')" = f ] || fail postgres 'this is a standby: it cannot be written to'
    [ "$(query "show fsync")" = on ] || fail postgres 'fsync is off: a crash would lose what StateFlow has promised to keep'
    [ "$(query "show synchronous_commit")" != off ] || fail postgres 'synchronous_commit is off: a crash would lose what StateFlow has promised to keep'
    [ "$(query "show autovacuum")" = on ] || fail postgres 'autovacuum is off: the queue would become slow within a day'
}

check_rights() {
    if [ "$(query "select count(*) from pg_namespace where nspname = '$schema'")" = 0 ]; then
        if [ "$(query "select has_database_privilege(current_database(), 'create')")" = t ]; then
            ok rights "the schema $schema does not exist and can be made"
        else
            fail rights "the schema $schema does not exist, and this user cannot make one: grant create on database"
        fi
    elif [ "$(query "select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = '$schema'")" = t ]; then
        ok rights "the schema $schema belongs to this user"
    else
        fail rights "the schema $schema belongs to somebody else: migrations would fail"
    fi
}

check_connections() {
    local each=${STATEFLOW_DATABASE_CONNECTIONS:-10} most reserved others wanted
    most=$(query 'show max_connections')
    reserved=$(query 'show superuser_reserved_connections')
    others=$(query "select count(*) from pg_stat_activity
        where backend_type = 'client backend' and application_name not like 'stateflow%'")
    # While versions change, an API process and a worker are there twice; one connection is for migrations.
    wanted=$(((processes + 2) * each + 1 + others + reserved))
    local sum="$processes processes x $each, 2 more during a change, 1 to migrate, $others of others, $reserved reserved"
    if [ "$wanted" -le "$most" ]; then
        ok connections "$wanted of $most ($sum)"
    else
        fail connections "$wanted wanted, max_connections is $most ($sum)"
    fi
}

check_clock() {
    local before database_now after off
    before=$(date +%s%3N)
    database_now=$(query "select (extract(epoch from clock_timestamp()) * 1000)::bigint")
    after=$(date +%s%3N)
    # It was read somewhere between the two.
    off=$((database_now < before ? before - database_now : database_now > after ? database_now - after : 0))
    if [ "$off" -le 1000 ]; then
        ok clock "agrees with the database's ($off ms apart)"
    elif [ "$off" -le 30000 ]; then
        warn clock "$off ms apart from the database's: look at the time synchronisation"
    else
        fail clock "$((off / 1000)) s apart from the database's: times in logs and of waits would mislead"
    fi
}

check_directory() {
    local what=$1 directory=$2 free
    while [ ! -e "$directory" ]; do directory=$(dirname "$directory"); done
    free=$(df --output=avail --block-size=M "$directory" | tail -n 1 | tr -dc 0-9)
    if [ ! -w "$directory" ]; then
        fail disk "$what: $directory cannot be written to by $(id -un)"
    elif [ "$free" -lt "$free_mb" ]; then
        fail disk "$what: $free MB free in $directory, $free_mb wanted"
    else
        ok disk "$what: $free MB free in $directory"
    fi
}

check_keys() {
    local keys=${STATEFLOW_SECRETS_KEY_FILE:-} sealed=0
    if [ "$(query "select to_regclass('$schema.secrets') is not null")" = t ]; then
        sealed=$(query "select count(*) from $schema.secrets")
    fi
    if [ -n "$keys" ] && [ ! -r "$keys" ]; then
        fail keys "$keys cannot be read by $(id -un)"
    elif [ -n "$keys${STATEFLOW_SECRETS_KEY:-}" ]; then
        ok keys "for secrets are given; $sealed secrets are stored"
    elif [ "$sealed" -gt 0 ]; then
        fail keys "$sealed secrets are stored, and no key for them is given (STATEFLOW_SECRETS_KEY_FILE)"
    else
        warn keys 'no key for secrets is given: secrets cannot be set (STATEFLOW_SECRETS_KEY_FILE)'
    fi
}

# `doctor` also looks for what only `stateflow dev` needs; what counts here is its line about the database.
check_doctor() {
    local said
    said=$(stateflow doctor 2>&1 || true)
    said=$(grep ' database:' <<<"$said" || echo "FAIL database: ${said//$'\n'/ }")
    case $said in
        ok*) ok migrations "${said#*: }" ;;
        *'stateflow migrate'*) warn migrations "pending: ${said#*: }" ;;
        *) fail migrations "${said#*: }" ;;
    esac
}

check_upgrade() {
    local failed invalid old
    if stateflow health >/dev/null 2>&1; then
        ok server "$(stateflow health)"
    else
        fail server "$(stateflow health 2>&1 || true)"
    fi
    failed=$(query "select count(*) from $schema._sqlx_migrations where not success" 2>/dev/null || echo unknown)
    if [ "$failed" = 0 ]; then
        ok history 'every migration so far has succeeded'
    else
        fail history "migrations that did not succeed: $failed"
    fi
    invalid=$(query "select count(*) from pg_index i join pg_class c on c.oid = i.indexrelid
        join pg_namespace n on n.oid = c.relnamespace where n.nspname = '$schema' and not i.indisvalid")
    if [ "$invalid" = 0 ]; then ok indexes 'all are valid'; else fail indexes "$invalid are invalid: reindex them first"; fi
    old=$(query "select count(*) from pg_stat_activity where pid <> pg_backend_pid()
        and datname = current_database() and xact_start < now() - interval '1 minute'")
    if [ "$old" = 0 ]; then
        ok transactions 'none is older than a minute'
    else
        warn transactions "$old are older than a minute: a migration may have to wait for them, and all others for it"
    fi
}

check_programs
if check_postgres; then
    check_rights
    check_connections
    check_clock
    check_keys
    check_doctor
    [ -z "$upgrade" ] || check_upgrade
fi
check_directory 'compiled plugins' "${STATEFLOW_DATA_DIR:-.stateflow}"
check_directory uploads "${TMPDIR:-/tmp}"

if [ "$failures" -gt 0 ]; then
    echo "preflight: $failures in the way, $warnings warnings"
    exit 1
fi
echo "preflight: nothing in the way, $warnings warnings"
