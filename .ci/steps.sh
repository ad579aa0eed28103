# The steps that CI runs for each change. CONTRIBUTING.md gives the reason for each.
# shellcheck shell=bash disable=SC2046,SC2329

# `published crates` prints `--package NAME` for each; `published features` prints all features but `opa`
# too, and leaves out crates that need more than the minimum Rust.
published() {
    need_debian python3 python3
    cargo metadata --format-version 1 --no-deps --locked | python3 -c '
import json, sys
packages = [p for p in json.load(sys.stdin)["packages"] if p["publish"] is None]
minimum = min(p["rust_version"] for p in packages)
for p in packages:
    if sys.argv[1] == "crates":
        print("--package", p["name"])
    elif p["rust_version"] == minimum:
        print("--package", p["name"])
        for feature in set(p["features"]) - {"opa"}:
            print("--features", p["name"] + "/" + feature)
' "$@" | tr -d '\r' # of Python on Windows
}

# lint: format, lints, shell scripts, workflows
step_lint() {
    cargo fmt --all --check
    if need_wheel shellcheck 0.11.0; then
        shellcheck .ci/{api,release,run,rustdoc-unstable} $(git ls-files '*.sh')
    fi
    if need_wheel zizmor 1.32.0; then
        zizmor --offline --no-progress --strict-collection .github
    fi
    for step in $(steps | cut -f 1); do
        grep -qF "| \`$step\` |" CONTRIBUTING.md || { echo "CONTRIBUTING.md: no step $step" >&2; return 1; }
    done
    # It also checks the expressions of workflows, but PyPI has it without its program.
    if command -v actionlint >/dev/null; then actionlint; fi
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
}

# deny: licences, sources, and arrows between crates
step_deny() {
    need_cargo deny 0.20.2
    cargo deny --workspace check bans licenses sources
}

# docs: rustdoc without warnings
step_docs() {
    RUSTDOCFLAGS=-Dwarnings cargo doc --quiet --workspace --all-features --no-deps --locked
}

# api: the public API is the recorded one
step_api() {
    need_cargo public-api 0.52.0
    .ci/api check
}

# features: each feature of each published crate alone
step_features() {
    need_cargo hack 0.6.45
    cargo hack clippy --workspace --ignore-private --each-feature --locked -- -D warnings
}

# unit: tests inside the crates, without servers
step_unit() {
    need_cargo nextest 0.9.148
    cargo nextest run --workspace --all-features --locked --no-fail-fast --lib --bins
}

# servers: tests with real servers and proxies
step_servers() {
    need_servers
    need_cargo nextest 0.9.148
    cargo nextest run --workspace --all-features --locked --no-fail-fast -E 'not (kind(lib) + kind(bin))'
    if [ -z "${OPA_URL:-}" ]; then
        echo "not against a real OPA: with OPA_URL set, the tests server::real_* of caracal-revocation-opa"
    fi
}

# opa: embedded Rego compared with OPA itself
step_opa() {
    local status=0
    crates/opa/tests/differential/live.sh 1 1000 || status=$?
    if [ "$status" = 3 ]; then
        echo "OPA cannot be had: its recorded answers were used alone"
    else
        return "$status"
    fi
}

# doc-tests: examples in the documentation
step_doc_tests() {
    cargo test --workspace --all-features --locked --doc --quiet
}

# loom: every order of the steps of threads
step_loom() {
    # Under another cfg, and so in a folder of its own.
    RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
        cargo test --quiet --locked -p caracal-revocation-state --lib model
}

# chaos: four schedules of injected faults
step_chaos() {
    need_servers
    # Two side by side, one strict with a baseline and one with snapshots, about 60 s, with losses by
    # the server, a rotated key, re-used ids, a server without streams, re-cut messages, a foreign
    # snapshot, a stepped clock, large messages and answers that are cut. Then two more, with a lost
    # and a frozen master, a partition, and a slot that moves. docs/chaos.md says how to run more.
    local chaos=(cargo run --quiet --locked -p chaos -- --again 2) pids=() pid
    "${chaos[@]}" --seed 639 --schedules 2 --jobs 2
    "${chaos[@]}" --setup sentinel --seed 160 & pids+=($!)
    "${chaos[@]}" --setup cluster --seed 151 & pids+=($!)
    for pid in "${pids[@]}"; do wait "$pid"; done
}

# backends: a verifier in a build with both crypto backends
step_backends() {
    # Apart from the workspace, whose features would be unified with these; on its versions, where
    # it has them.
    cp Cargo.lock tests/backends/Cargo.lock
    for features in "" aws_lc_rs; do
        cargo run --quiet --manifest-path tests/backends/Cargo.toml --target-dir target \
            --features "$features"
    done
}

# package: each published crate builds from its own archive
step_package() {
    # One build of all archives. Cargo itself would build the dependencies once for each archive.
    local folder=target/unpacked archive name
    rm -rf "$folder" target/package
    mkdir -p "$folder"
    CARGO_TARGET_DIR=$PWD/target cargo package --quiet --locked --allow-dirty --no-verify $(published crates)
    printf '[workspace]\nmembers = ["*"]\nresolver = "3"\n\n[patch.crates-io]\n' >"$folder/Cargo.toml"
    for archive in target/package/*.crate; do
        tar -xzf "$archive" -C "$folder"
        name=$(basename "$archive" .crate)
        echo "${name%-*} = { path = \"$name\" }" >>"$folder/Cargo.toml"
        for file in README.md LICENSE-MIT LICENSE-APACHE; do
            [ -s "$folder/$name/$file" ] || { echo "$name: no $file in the archive" >&2; return 1; }
        done
    done
    cp Cargo.lock "$folder/"
    CARGO_TARGET_DIR=$PWD/target cargo check --quiet --workspace --all-features --manifest-path "$folder/Cargo.toml"
}
