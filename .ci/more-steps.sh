# The steps that only ./test.sh STEP runs: for other systems and versions, and weekly.
# shellcheck shell=bash disable=SC2046,SC2329

# minimal: the oldest versions that Cargo.toml accepts
step_minimal() {
    # A copy, with another Cargo.lock. Only cargo gets the variable: build scripts would see it.
    rm -rf target/minimal
    mkdir -p target/minimal
    git ls-files -z --cached --others --exclude-standard |
        tar -c --null --ignore-failed-read --files-from=- | tar -x -C target/minimal
    # Without examples and benches: their dependencies are no requirement of a crate.
    sed -n '/^\[workspace\]/,$p' Cargo.toml | sed 's|^members = .*|members = ["crates/*"]|' >target/minimal/Cargo.toml
    (cd target/minimal && RUSTC_BOOTSTRAP=1 cargo update --quiet -Z direct-minimal-versions)
    CARGO_TARGET_DIR=$PWD/target cargo check --quiet --locked --all-features \
        --manifest-path target/minimal/Cargo.toml $(published crates)
}

# minimum-rust: the minimum Rust, without the feature opa; needs rustup
step_minimum_rust() {
    local rust
    rust=$(sed -n 's/^rust-version = "\(.*\)"/\1.0/p' Cargo.toml)
    rustup toolchain list | grep -q "^$rust-" || rustup toolchain install "$rust" --profile minimal
    cargo "+$rust" check --locked $(published features)
}

# portable: builds and unit tests of the libraries and programs, on every system
step_portable() {
    need_cargo nextest 0.9.148
    cargo build --locked $(published crates)
    # The tests of this one need a Unix.
    cargo nextest run --locked --lib --bins $(published crates | grep -v caracal-revocation-postgres)
}

# mutants: tests notice each small change of the code that verifies messages and compares ages
step_mutants() {
    need_cargo mutants 27.1.0
    # A copy, always in the same folder, so that the next run builds only what has changed.
    rm -rf target/mutants/crates
    mkdir -p target/mutants
    git ls-files -z --cached --others --exclude-standard |
        tar -c --null --ignore-failed-read --files-from=- | tar -x -C target/mutants
    CARGO_TARGET_DIR=$PWD/target CARGO_INCREMENTAL=1 cargo mutants --dir target/mutants --in-place --no-times \
        --package caracal-revocation-event --package caracal-revocation-state \
        --file crates/event/src/key_ring.rs --file crates/event/src/decode.rs --file crates/state/src/staleness.rs
}

# advisories: known vulnerabilities of dependencies; reads GitHub's database
step_advisories() {
    need_cargo deny 0.20.2
    cargo deny --workspace --all-features check advisories
}

# fuzz: a minute for each target
step_fuzz() {
    need_cargo fuzz 0.13.2
    local target options
    for target in $(cd fuzz && cargo fuzz list); do
        options=(-max_total_time=60 -max_len=8192)
        if [ -f "fuzz/$target.dict" ]; then options+=("-dict=$target.dict"); fi
        mkdir -p "fuzz/corpus/$target"
        (cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run "$target" "corpus/$target" "seeds/$target" -- "${options[@]}")
    done
}

# chaos-long: eighty schedules of injected faults, of new seeds; and each safety rule removed
step_chaos_long() {
    need_servers
    need_cargo nextest 0.9.148
    local setup schedules
    for setup in pair=40 sentinel=20 cluster=20; do
        schedules=${setup#*=}
        cargo run --quiet --release --locked -p chaos -- --setup "${setup%=*}" \
            --seed "$(date +%Y%m%d)00" --schedules "$schedules" --jobs 4
    done
    CHAOS_SABOTAGE=all cargo nextest run --locked -p chaos -E 'binary(sabotage)'
}
