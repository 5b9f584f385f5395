#!/usr/bin/env bash
# A tour of a running StateFlow: sets up what is missing, runs the onboarding example from nothing to its timeline,
# and stops everything. Ends with `demo: ok`.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stateflow/target}" SQLX_OFFLINE=true

say() { printf '\ndemo: %s\n' "$*"; }

scripts/setup.sh
work=$(mktemp -d)
started=()
# TERM, not INT: a script's background processes start with INT ignored, and Python honours that.
finish() {
    local pid
    for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

say 'building (the first time takes some minutes)'
cargo build --locked --package stateflow --bin stateflow
stateflow=$CARGO_TARGET_DIR/debug/stateflow
scripts/build-guest.sh examples/plugins/slugify "$work/slugify.wasm"

say 'starting stateflow dev with a database that is not kept'
"$stateflow" dev --ephemeral --port 0 --data-dir "$work/data" >"$work/dev.log" 2>&1 &
server=$!
started+=("$server")
for _ in $(seq 1 300); do
    address=$(sed -n 's/^StateFlow is at \(http[^ ]*\).*/\1/p' "$work/dev.log")
    if [ -n "$address" ] && "$stateflow" --url "$address" health >/dev/null 2>&1; then break; fi
    kill -0 "$server" 2>/dev/null || { cat "$work/dev.log"; exit 1; }
    sleep 0.1
done
export STATEFLOW_URL=$address
"$stateflow" health

say 'starting the service that the example talks to'
python3 examples/user-onboarding/service.py >"$work/port" &
started+=("$!")
for _ in $(seq 1 100); do [ -s "$work/port" ] && break; sleep 0.1; done
service=http://127.0.0.1:$(cat "$work/port")

say 'pushing the plugin and the workflow'
"$stateflow" validate examples/user-onboarding/workflow.json
"$stateflow" plugin push "$work/slugify.wasm"
"$stateflow" workflows push examples/user-onboarding/workflow.json

say 'running it'
input="{\"email\": \"ada@example.com\", \"name\": \"Ada Lovelace\", \"service\": \"$service\"}"
"$stateflow" run user-onboarding --wait --input "$input" --json | tee "$work/result.json"
id=$(sed -n 's/.*"id": "\([0-9a-f-]*\)".*/\1/p' "$work/result.json" | head -n 1)
"$stateflow" status "$id"
"$stateflow" logs "$id"
grep -q '"handle": "ada-lovelace"' "$work/result.json"

say 'a dead letter: a workflow calls a service that is down, and is run again when it is up'
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/report.json" <<EOF
{ "name": "fetch-report", "steps": [
    { "id": "fetch", "type": "http", "config": { "url": "http://127.0.0.1:$port/" },
      "retryPolicy": { "maxAttempts": 2, "delayMs": 10 } } ] }
EOF
"$stateflow" workflows push "$work/report.json"
"$stateflow" run fetch-report --wait --json >"$work/failed.json" || true
failed=$(sed -n 's/.*"id": "\([0-9a-f-]*\)".*/\1/p' "$work/failed.json" | head -n 1)
"$stateflow" dlq list
python3 -m http.server "$port" --bind 127.0.0.1 --directory "$work" >/dev/null 2>&1 &
started+=("$!")
for _ in $(seq 1 100); do curl --silent --output /dev/null "http://127.0.0.1:$port/" && break; sleep 0.1; done
"$stateflow" dlq redrive "$failed"
for _ in $(seq 1 100); do
    "$stateflow" status "$failed" --json | grep -q '"status": "succeeded"' && break
    sleep 0.1
done
"$stateflow" status "$failed"
"$stateflow" dlq list

say 'stopping'
kill -TERM "$server"
wait "$server"
printf "\ndemo: ok\n"
