#!/usr/bin/env bash
# Prints the numbers that StateFlow is held to, measured on this machine with the release build: the sandbox call and
# the cancel of an endless loop, the start of `stateflow dev` on existing data, its idle memory and CPU, and the time
# from start to finish of a one-step execution. Asserts nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stateflow/target}" SQLX_OFFLINE=true
cargo build --release --locked --package stateflow --bin stateflow
cargo build --release --locked --package stateflow-sandbox --example call_cost
stateflow=$CARGO_TARGET_DIR/release/stateflow

work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null && wait "$server" || true; }
    rm -rf "$work"
}
trap finish EXIT

start() {
    : >"$work/log"
    "$stateflow" dev --port 0 --data-dir "$work/data" >"$work/log" 2>&1 &
    server=$!
    until url=$(sed -n 's/^StateFlow is at \(http[^ ]*\).*/\1/p' "$work/log") && [ -n "$url" ] &&
        curl --silent --fail "$url/api/health/ready" >/dev/null; do
        kill -0 "$server" || { cat "$work/log"; exit 1; }
        sleep 0.01
    done
    export STATEFLOW_URL=$url
}
stop() { kill -TERM "$server"; wait "$server"; server=; }
percentile() { sort -n | awk -v p="$1" '{ v[NR] = $1 } END { i = int(NR * p / 100 + 0.5); print v[i < 1 ? 1 : i] }'; }

echo '== sandbox call of slugify (instantiate and run, fuel and epochs on, warm), and cancel of an endless loop'
scripts/build-guest.sh examples/plugins/slugify "$work/slugify.wasm" 2>/dev/null
"$CARGO_TARGET_DIR/release/examples/call_cost" "$work/slugify.wasm" '{"title": "Grüße aus Köln 2026"}'

start && stop
echo '== ready with existing data (seconds; at most 3)'
began=$(date +%s.%N)
start
echo "$(date +%s.%N) $began" | awk '{ printf "%.2f\n", $1 - $2 }'

echo '== one-step log workflow, idle system, one at a time: start to finish as the client sees it (ms; p50 at most 10)'
echo '{"name": "one", "steps": [{"id": "a", "type": "log", "config": {"message": "hi"}}]}' >"$work/one.json"
"$stateflow" workflows push "$work/one.json" >/dev/null
for _ in $(seq 1 500); do
    curl --silent --output /dev/null --write-out '%{time_total}\n' --header 'content-type: application/json' \
        --data '{"input": {}}' "$url/api/workflows/one/execute?wait=10000"
done | awk '{ print $1 * 1000 }' >"$work/latency"
for p in 50 95 99; do echo "p$p $(percentile "$p" <"$work/latency")"; done

echo '== idle for 30 s: memory of the process (MB; at most 80) and CPU (%; below 1)'
sleep 5
ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }
before=$(ticks)
sleep 30
after=$(ticks)
awk '/VmRSS/ { printf "rss %.1f\n", $2 / 1024 }' "/proc/$server/status"
echo "$after $before $(getconf CLK_TCK)" | awk '{ printf "cpu %.2f\n", ($1 - $2) / $3 / 30 * 100 }'
stop
