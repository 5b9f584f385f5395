#!/usr/bin/env bash
# Builds a C program into a plugin: build-c-guest.sh FILE.c OUT.wasm
# Needs python3 with venv; the compiler (zig, from PyPI) is installed once under the cache directory.
set -euo pipefail

[ $# -eq 2 ] || { echo "usage: $0 FILE.c OUT.wasm" >&2; exit 2; }
source_file=$1
out=$2
zig_version=0.17.1
cache=${STATEFLOW_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stateflow/guests}
# zig reserves 16 MiB of stack otherwise, which is more than most steps are allowed.
flags=(-target wasm32-wasi -O2 "-Wl,-z,stack-size=65536" "-Wl,--strip-all")

mkdir -p "$cache"
built=$cache/$( { cat "$source_file"; printf '%s' "$zig_version ${flags[*]}"; } | sha256sum | cut -d' ' -f1).wasm
if [ ! -f "$built" ]; then
    # One at a time: tests of several crates may want the compiler at the same moment.
    exec 9>"$cache/c-guest.lock"
    flock 9
    venv=$cache/zig-$zig_version
    if [ ! -f "$venv/ready" ]; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "ziglang==$zig_version"
        touch "$venv/ready"
    fi
    "$venv/bin/python" -m ziglang cc "${flags[@]}" -o "$built.new" "$source_file"
    mv "$built.new" "$built"
fi
cp "$built" "$out"
