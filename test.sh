#!/usr/bin/env bash
# Installs what the tests need and is missing, then runs every check and every test.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

need_debian() { # command, package
    command -v "$1" >/dev/null && return
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        say "installing $2"
        apt-get update -qq || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
    else
        echo "$1 is missing: install it (on Debian: sudo apt-get install $2)" >&2
        exit 1
    fi
}

need_debian cc gcc
need_debian script bsdutils
need_debian redis-server redis-server
need_debian curl curl
[ -d /usr/lib/postgresql ] || need_debian initdb postgresql
need_debian promtool prometheus
# The feature `opa`, tested here too, needs 1.95; the rest of the crates 1.88.
command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or later" >&2; exit 1; }
if ! cargo nextest --version >/dev/null 2>&1; then
    say "installing cargo-nextest"
    cargo install --locked cargo-nextest
fi

# Pinned: another version may read deny.toml differently.
deny_version=0.20.2
if [ "$(cargo deny --version 2>/dev/null)" != "cargo-deny $deny_version" ]; then
    say "installing cargo-deny $deny_version"
    cargo install --locked cargo-deny --version "$deny_version"
fi

say "format"
cargo fmt --all --check
say "lints"
cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
say "dependencies"
cargo deny --workspace check bans licenses sources
say "tests"
cargo nextest run --workspace --all-features --locked
if [ -z "${OPA_URL:-}" ]; then
    say "not against a real OPA: with OPA_URL set, the tests server::real_* of caracal-revocation-opa"
fi
say "embedded Rego beside OPA itself"
status=0
crates/opa/tests/differential/live.sh 1 1000 || status=$?
if [ "$status" = 3 ]; then
    say "OPA cannot be had: its recorded answers were used alone"
elif [ "$status" != 0 ]; then
    exit "$status"
fi
say "documentation tests"
cargo test --workspace --all-features --locked --doc --quiet
say "every order of the steps of threads"
# Under another cfg, and so in a folder of its own.
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
    cargo test --quiet --locked -p caracal-revocation-state --lib model
say "fault injection"
# Two schedules side by side, one strict with a baseline and one with snapshots, about 50 s, with a
# lagging replica, a rotated key, re-used ids, a server without streams, large messages and answers that
# are cut; docs/chaos.md says how to run more.
cargo run --quiet --locked -p chaos -- --seed 11597 --schedules 2 --jobs 2

# Apart from the workspace, whose features would be unified with these; on its versions, where it
# has them.
say "both crypto backends in one build"
cp Cargo.lock tests/backends/Cargo.lock
for features in "" aws_lc_rs; do
    cargo run --quiet --manifest-path tests/backends/Cargo.toml --target-dir target \
        --features "$features"
done
