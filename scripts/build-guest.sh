#!/usr/bin/env bash
# Builds a Rust plugin crate for wasm: build-guest.sh CRATE_DIR OUT.wasm
# The result may be a core module that describes its world in a custom section: the server makes a component of it.
set -euo pipefail

[ $# -eq 2 ] || { echo "usage: $0 CRATE_DIR OUT.wasm" >&2; exit 2; }
crate_dir=$(cd "$1" && pwd)
out=$2
target=wasm32-unknown-unknown
target_dir=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/stateflow}/guests

has_rustup_target() {
    command -v rustup >/dev/null || return 1
    rustup target list --installed 2>/dev/null | grep -qx "$target" && return 0
    timeout 60 rustup target add "$target" >&2
}

# Without rustup's target: Debian's compiler, which brings the sources of the standard library along.
install_debian_toolchain() {
    dpkg -s rustc-web cargo-web rust-web-src >/dev/null 2>&1 && return 0
    if [ "$(id -u)" != 0 ]; then
        echo "$0: needs the rustup target $target, or the packages rustc-web cargo-web rust-web-src" >&2
        exit 1
    fi
    apt-get install --yes --no-install-recommends rustc-web cargo-web rust-web-src >&2
}

# rust-lld comes with rustup's toolchains; Debian has it as lld.
find_linker() {
    local linker
    for linker in "$(rustc --print sysroot 2>/dev/null)"/lib/rustlib/*/bin/rust-lld \
        "${RUSTUP_HOME:-$HOME/.rustup}"/toolchains/*/lib/rustlib/*/bin/rust-lld; do
        [ -x "$linker" ] && { echo "$linker"; return 0; }
    done
    command -v rust-lld || command -v wasm-ld || true
}

cd "$crate_dir"
if has_rustup_target; then
    CARGO_TARGET_DIR=$target_dir cargo build --release --target "$target"
else
    install_debian_toolchain
    linker=$(find_linker)
    [ -n "$linker" ] || { echo "$0: no wasm linker: install rustup's toolchain or the package lld" >&2; exit 1; }
    # Debian's compiler is a stable one; building the standard library needs it to act like a nightly one.
    env -u RUSTUP_TOOLCHAIN RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$target_dir" \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker" \
        /usr/bin/cargo build --release --target "$target" -Zbuild-std=std,panic_abort
fi
name=$(basename "$crate_dir")
mkdir -p "$(dirname "$out")"
cp "$target_dir/$target/release/${name//-/_}.wasm" "$out"
