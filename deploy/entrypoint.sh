#!/bin/sh
# Starts stateflow in a container. DATABASE_URL has a password in it and may come from a file, DATABASE_URL_FILE, as
# container platforms hand secrets over; stateflow itself takes the other secret, the keys, from a file.
set -eu

if [ -n "${DATABASE_URL_FILE:-}" ]; then
    if [ -n "${DATABASE_URL:-}" ]; then
        echo "stateflow-entrypoint: DATABASE_URL and DATABASE_URL_FILE are both set: use one" >&2
        exit 2
    fi
    DATABASE_URL=$(cat "$DATABASE_URL_FILE") || {
        echo "stateflow-entrypoint: uid $(id -u) cannot read $DATABASE_URL_FILE" >&2
        exit 2
    }
    export DATABASE_URL
fi
exec stateflow "$@"
