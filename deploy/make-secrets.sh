#!/usr/bin/env bash
# Makes the secrets of compose.yaml: one file each in deploy/secrets, never overwritten. The directory is for its owner
# alone; the files in it can be read by every uid, because containers see them with the owner that they have here.
set -euo pipefail
cd "$(dirname "$0")"
secrets=${1:-secrets}

mkdir -p "$secrets"
chmod 0700 "$secrets"

# make NAME: what standard input has, unless the file is there.
make() {
    if [ -e "$secrets/$1" ]; then
        # Whoever writes to us would be ended by a pipe that nobody reads.
        cat >/dev/null
        echo "kept  $secrets/$1"
        return
    fi
    (umask 022 && cat >"$secrets/$1.new" && mv "$secrets/$1.new" "$secrets/$1")
    echo "made  $secrets/$1"
}

random() { head -c "$1" /dev/urandom; }
hexadecimal() { od -An -v -tx1 | tr -d ' \n'; }

random 24 | hexadecimal | make postgres_password
# Hexadecimal needs no escaping in a URL.
printf 'postgres://stateflow:%s@postgres:5432/stateflow' "$(cat "$secrets/postgres_password")" | make database_url
random 32 | base64 | make secrets_key
random 18 | hexadecimal | make grafana_password
echo "Keep a copy of $secrets/secrets_key apart from the database's backups: without it stored secrets cannot be opened."
