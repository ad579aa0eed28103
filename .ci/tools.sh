# Installs a tool that a step needs and that is missing. Sourced by test.sh.
# shellcheck shell=bash

# Programs from PyPI (.ci/tools.txt).
tools=$PWD/target/tools
PATH=$tools/bin:$PATH

install_debian() { # package, what is missing
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        echo "installing $1"
        apt-get update -qq || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
    else
        echo "$2 is missing: install it (on Debian: sudo apt-get install $1)" >&2
        exit 1
    fi
}

need_debian() { # command, package
    command -v "$1" >/dev/null || install_debian "$2" "$1"
}

# What every build needs. The feature `opa`, tested here too, needs Rust 1.95; the rest 1.88.
need_rust() {
    [ "$(uname)" != Linux ] || need_debian cc gcc
    command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.95 or later" >&2; exit 1; }
}

need_servers() {
    need_debian script bsdutils
    need_debian tmux tmux
    need_debian redis-server redis-server
    need_debian curl curl
    [ -d /usr/lib/postgresql ] || need_debian initdb postgresql
    need_debian promtool prometheus
}

# Installs the programs of .ci/tools.txt. Returns 1 if pip cannot install them.
wheels() {
    cmp -s .ci/tools.txt "$tools/tools.txt" && return
    need_debian python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || install_debian python3-venv "Python's venv"
    echo "installing .ci/tools.txt"
    rm -rf "$tools"
    mkdir -p "$tools/bin"
    python3 -m venv "$tools/venv" &&
        "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
            --only-binary=:all: --require-hashes --requirement .ci/tools.txt &&
        ln -s "$tools"/venv/bin/{cargo-*,shellcheck,zizmor} "$tools/bin/" &&
        cp .ci/tools.txt "$tools/tools.txt" &&
        hash -r
}

# Returns 0 if the command's output has this version.
is_version() { # version, command…
    [[ "$("${@:2}" 2>/dev/null) " == *" $1"[!0-9.]* ]]
}

# Pinned: another version may judge differently. Returns 1 where PyPI cannot be reached.
need_wheel() { # command, version
    is_version "$2" "$1" --version && return
    wheels && is_version "$2" "$1" --version && return
    echo "SKIPPED: $1 $2 cannot be installed from PyPI: see .ci/tools.txt" >&2
    return 1
}

# A subcommand of cargo: from PyPI where it is in .ci/tools.txt, else built by cargo.
need_cargo() { # subcommand, version
    is_version "$2" cargo "$1" --version && return
    if grep -q "cargo-$1==$2 " .ci/tools.txt && wheels && is_version "$2" cargo "$1" --version; then
        return
    fi
    echo "installing cargo-$1 $2"
    cargo install --quiet --locked "cargo-$1" --version "$2"
}
