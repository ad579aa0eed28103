#!/usr/bin/env bash
# Runs every check and test, or the named steps: ./test.sh [STEP…]. ./test.sh --help lists them.
# Installs what a step needs and is missing.
set -euo pipefail
cd "$(dirname "$0")"
. .ci/tools.sh
. .ci/steps.sh
. .ci/more-steps.sh

# What ./test.sh runs, in this order. The hosted CI runs the other steps too, as jobs of their own.
default=(lint deny docs unit servers opa doc-tests loom chaos backends package)

# Prints each step, and what it checks.
steps() { sed -n 's/^# \([a-z-]*\): \(.*\)/\1\t\2/p' .ci/steps.sh .ci/more-steps.sh; }

help() {
    printf 'usage: ./test.sh [STEP…]\n\nWithout a step, it runs: %s.\n\n' "${default[*]}"
    steps | expand -t 15 | sed 's/^/  /'
    printf '\non each change, in .github/workflows/ci.yml: api features minimal mutants minimum-rust portable
weekly, there: advisories fuzz chaos-long\n'
}

function_of() { echo "step_${1//-/_}"; }

case ${1:-} in -h | --help) help; exit ;; esac
for step in "$@"; do
    if ! declare -F "$(function_of "$step")" >/dev/null; then
        echo "no such step: $step (./test.sh --help lists them)" >&2
        exit 2
    fi
done
[ $# != 0 ] || set -- "${default[@]}"

need_rust
times=()
failed=0
for step in "$@"; do
    printf '\n== %s\n' "$step"
    began=$SECONDS
    # Not in a condition, where errexit has no effect.
    set +e
    (set -e; "$(function_of "$step")")
    failed=$?
    set -e
    [ $failed = 0 ] && result=passed || result="failed ($failed)"
    times+=("$(printf '%-13s %6d s  %s' "$step" $((SECONDS - began)) "$result")")
    [ $failed = 0 ] || break
done
printf '\n== summary\n'
printf '%s\n' "${times[@]}"
printf '%-13s %6d s\n' all $SECONDS
exit $failed
