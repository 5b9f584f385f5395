#!/usr/bin/env bash
# Drives the API from outside, as the document describes it: a fuzzer, clients that are generated from the document, and the
# CloudEvents SDK of another language, against a server of this build. `check-api.sh BINARY`.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:?usage: check-api.sh BINARY}
target=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stateflow/target}
tools=$target/api-tools
work=$(mktemp -d)

say() { printf 'check-api: %s\n' "$*"; }

stop() {
    if [ -n "${server:-}" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap stop EXIT

# Installed once for each list of them.
install_tools() {
    local wanted
    wanted=$(cat api/checks/requirements.txt api/checks/package-lock.json | sha256sum)
    if [ "$(cat "$tools/installed" 2>/dev/null)" = "$wanted" ]; then return 0; fi
    say 'installing the clients (once)'
    rm -rf "$tools"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check --requirement api/checks/requirements.txt
    mkdir "$tools/node"
    cp api/checks/package.json api/checks/package-lock.json api/checks/.npmrc "$tools/node"
    npm ci --silent --no-audit --no-fund --prefix "$tools/node"
    echo "$wanted" >"$tools/installed"
}

start_server() {
    "$binary" dev --ephemeral --port 0 --rate-limit 0 >"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 600); do
        url=$(sed -nE 's/^StateFlow is at ([^ ]+).*/\1/p' "$work/server.log")
        if [ -n "$url" ] && curl --silent --fail --output /dev/null "$url/api/health/ready"; then return 0; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/server.log" >&2
    return 1
}

python_client() {
    PATH=$tools/python/bin:$PATH "$tools/python/bin/openapi-python-client" generate --path docs/openapi.json --meta none \
        --output-path "$work/stateflow_client" --overwrite >"$work/generated.log" 2>&1 ||
        { cat "$work/generated.log" >&2; return 1; }
    PYTHONPATH=$work "$tools/python/bin/python" api/checks/client.py "$url"
}

typescript_client() {
    mkdir "$work/node"
    cp api/checks/client.ts api/checks/tsconfig.json "$work/node"
    echo '{ "type": "module" }' >"$work/node/package.json"
    ln -s "$tools/node/node_modules" "$work/node/node_modules"
    "$tools/node/node_modules/.bin/openapi-typescript" docs/openapi.json --output "$work/node/schema.ts" >/dev/null 2>&1
    "$tools/node/node_modules/.bin/tsc" --project "$work/node"
    node "$work/node/client.js" "$url"
}

# Zero server errors, zero undocumented statuses and types, no answer that is not as documented. Streams do not end by
# themselves. The seed is fixed, so that a failure is not luck; one worker, because of its generator asks Python for syntax
# trees, and 3.11 counts the recursion of all threads that parse as one (python/cpython#106905).
fuzz() {
    local checks=not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
    (cd "$work" && SCHEMATHESIS_HOOKS=hooks PYTHONPATH=$OLDPWD/api/checks "$tools/python/bin/schemathesis" run \
        "$url/api/openapi.json" --checks "$checks" --max-examples 20 --workers 1 --request-timeout 30 --seed 1 \
        --exclude-path-regex '/events$|/logs$' --no-color >fuzz.log 2>&1) || { cat "$work/fuzz.log" >&2; return 1; }
    grep -E 'generated|passed' "$work/fuzz.log" | tail -1 | sed 's/^ */fuzzer: /'
}

install_tools
start_server
python_client
typescript_client
"$tools/python/bin/python" api/checks/events.py "$url"
fuzz
if grep -E ' (ERROR|panicked)' "$work/server.log"; then
    say 'the server has logged an error'
    exit 1
fi
say ok
