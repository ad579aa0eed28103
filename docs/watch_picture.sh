#!/usr/bin/env bash
# Draws docs/watch.svg from a real run: a redis-server, the program in a terminal of tmux, and
# messages that are published during the run. Needs redis-server, redis-cli, tmux and python3.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build -q --release -p caracal-streams
program="${CARGO_TARGET_DIR:-target}/release/caracal-streams"
folder=$(mktemp -d)
port=$((20000 + RANDOM % 10000))
redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --appendonly yes --save "" >/dev/null &
server=$!
trap 'tmux -L picture kill-server 2>/dev/null; kill "$server"; rm -rf "$folder"' EXIT
export REDIS_URL="redis://127.0.0.1:$port" STREAMS_HMAC_KEY
STREAMS_HMAC_KEY=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
"$program" provision >/dev/null
publish() { "$program" publish --yes "$@" >/dev/null; }
uuid() { cut -c1-"${1:-36}" /proc/sys/kernel/random/uuid; }

tmux -L picture new-session -d -x 132 -y 34 "$program watch"
sleep 1
for n in $(seq 1 220); do
    publish revoke --zone z-eu-1 --session "$(uuid)" --reason grant_revoked
    ((n % 6)) || publish delegation --zone z-eu-1 --event revoke --edge "$(uuid)" --epoch "$((400 + n))"
    ((n % 17)) || publish policy --zone z-us-2 --policy-set ps-7 --version "psv-$n"
    ((n % 40)) || publish keys --zone z-eu-1
    ((n % 29)) || { session=$(uuid); publish suspend --zone z-eu-1 --agent-session "$session"; }
    ((n % 31)) || publish resume --zone z-eu-1 --agent-session "$session"
    # A producer that still signs with another key.
    ((n % 73)) || STREAMS_HMAC_KEY=$(printf 'ab%.0s' {1..32}) publish keys --zone z-us-2
    ((n % 73)) || redis-cli -p "$port" XADD caracal.keys.invalidate.dead '*' original_id 0-0 \
        error "signature: _sig is not that of an accepted key" values '{}' >/dev/null
    sleep "0.$((RANDOM % 5))"
done
publish keys --zone z-us-2
STREAMS_HMAC_KEY=$(printf 'ab%.0s' {1..32}) publish keys --zone z-us-2
publish revoke --zone z-eu-1 --session "$(uuid)" --reason compromised
sleep 0.6
tmux -L picture capture-pane -p -e | python3 docs/ansi_to_svg.py > docs/watch.svg
