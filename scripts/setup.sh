#!/usr/bin/env bash
# Installs what StateFlow's tests and `stateflow dev` need and this machine lacks. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf 'setup: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Server programs are rarely on the search path: packages put them in a folder per version.
find_postgres() {
    local place
    for place in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin \
        /Library/PostgreSQL/*/bin /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin; do
        if [ -x "$place/postgres" ] && [ -x "$place/initdb" ]; then
            echo "$place"
            return 0
        fi
    done
    have postgres && have initdb && dirname "$(command -v postgres)"
}

install_postgres() {
    if have apt-get && { [ "$(id -u)" = 0 ] || have sudo; }; then
        # Nobody wants the package's own cluster to be made and started.
        as_root install -d /etc/postgresql-common/createcluster.d
        echo 'create_main_cluster = false' |
            as_root tee /etc/postgresql-common/createcluster.d/stateflow.conf >/dev/null
        as_root apt-get update
        as_root apt-get install --yes --no-install-recommends postgresql
    elif have brew; then
        brew install postgresql@17
    else
        say 'install a Postgres server (14 or later) with your package manager'
        return 1
    fi
}

# What scripts/check-deploy.sh checks with. `promtool` is taken out of Debian's package of Prometheus: installing that
# would add a user and start a service.
install_checkers() {
    local missing=()
    have shellcheck || missing+=(shellcheck)
    have systemd-analyze || missing+=(systemd)
    have curl || missing+=(curl)
    have npm || missing+=(nodejs npm)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    local tools=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stateflow/target}/deploy-tools
    if [ ${#missing[@]} = 0 ] && { have promtool || [ -x "$tools/promtool" ]; }; then return 0; fi
    if have apt-get && { [ "$(id -u)" = 0 ] || have sudo; }; then
        as_root apt-get update
        [ ${#missing[@]} = 0 ] || as_root apt-get install --yes --no-install-recommends "${missing[@]}"
        have promtool || [ -x "$tools/promtool" ] || extract_promtool "$tools"
    elif have brew; then
        brew install shellcheck prometheus node
    else
        say 'install shellcheck, promtool (of Prometheus), curl, npm and python3 with venv'
        return 1
    fi
}

extract_promtool() {
    local work
    work=$(mktemp -d)
    (cd "$work" && apt-get download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool)
    install -D -m 0755 "$work/usr/bin/promtool" "$1/promtool"
    rm -rf "$work"
}

if ! have cargo; then
    say 'cargo is missing: install Rust with rustup'
    exit 1
fi

if place=$(find_postgres); then
    say "Postgres server: $place"
else
    install_postgres
    say "Postgres server: $(find_postgres)"
fi

install_checkers

# Without rustup, scripts/build-guest.sh brings a toolchain of its own.
target=wasm32-unknown-unknown
if have rustup && ! rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    timeout 60 rustup target add "$target" || say "cannot add $target; plugins are built with the fallback toolchain"
fi

cargo fetch --locked
say 'ready: try `make dev`'
