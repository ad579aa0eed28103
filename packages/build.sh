#!/usr/bin/env bash
# Builds the Debian package of caracal-guard, and prints its content, its path and its size.
# Needs: cargo install --locked cargo-deb
set -euo pipefail
cd "$(dirname "$0")/.."
# The package goes into the folder `target` of the repository.
unset CARGO_TARGET_DIR

cargo build --profile dist --locked -p caracal-guard --features opa,postgres

guard=target/dist/caracal-guard
made=target/dist/packages
rm -rf "$made"
mkdir -p "$made/completions"
"$guard" man "$made/man"
gzip -9n "$made"/man/*
"$guard" completions bash >"$made/completions/caracal-guard.bash"
"$guard" completions zsh >"$made/completions/_caracal-guard"
"$guard" completions fish >"$made/completions/caracal-guard.fish"

package=$(cargo deb --no-build --profile dist --locked -p caracal-guard --output target/)
dpkg-deb --info "$package"
dpkg-deb --contents "$package"
stat --format '%n: %s bytes' "$guard" "$package"
