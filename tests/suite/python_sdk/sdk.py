"""Runs Caracal's Python SDK on a Redis server, as a resource server would.

    python3 sdk.py REDIS_URL    reads a JSON list of steps, writes a JSON list of results

A step is one of:

    {"do": "sign", "stream", "key", "fields"}     returns the SDK's signature of the fields
    {"do": "write", "stream", "key", "fields"}    signs the fields as the SDK does, and adds them
    {"do": "add", "stream", "fields_hex"}         adds the fields unchanged
    {"do": "read", "stream", "key"}               lets the SDK read the stream once; with
                                                  "pending_idle_ms", it claims pending messages of
                                                  this age, instead of 30 s
    {"do": "flush"}                               removes everything from Redis

"fields" is an object of texts, "fields_hex" a list of names and values, and "key" hex digits.
"""

import json
import sys

import redis
from caracalai_revocation_redis import (
    DELEGATION_INVALIDATION_STREAM,
    RedisDelegationInvalidationConsumer,
    RedisRevocationConsumer,
    RedisRevocationStore,
)

# The SDK publishes nothing, so it has no public function that signs.
from caracalai_revocation_redis.revocation import _sign_stream

SERVER = redis.Redis.from_url(sys.argv[1])
PREFIX = "caracal:revoked:sessions:"
EPOCH = "delegation-epoch:"


def sign(stream, key, fields):
    return _sign_stream(bytes.fromhex(key), stream, fields)


def write(stream, key, fields):
    SERVER.xadd(stream, {**fields, "_sig": sign(stream, key, fields)})


def add(stream, fields_hex):
    SERVER.execute_command("XADD", stream, "*", *(bytes.fromhex(text) for pair in fields_hex for text in pair))


def read(stream, key, pending_idle_ms=30_000):
    """Reads the stream once. Returns the state of the SDK, and the exception that it raised."""
    delegations = stream == DELEGATION_INVALIDATION_STREAM
    kind = RedisDelegationInvalidationConsumer if delegations else RedisRevocationConsumer
    store = RedisRevocationStore(SERVER, key_prefix=PREFIX)
    consumer = kind(
        SERVER,
        store,
        "one",
        stream=stream,
        block_ms=1,  # The default, 0, waits for a message without end.
        pending_idle_ms=pending_idle_ms,
        stream_hmac_key=bytes.fromhex(key),
    )
    consumer.ensure_group()
    try:
        consumer.poll_once()
        error = None
    except Exception as raised:
        error = type(raised).__name__
    known = [name.decode()[len(PREFIX) :] for name in SERVER.scan_iter(PREFIX + "*")]
    zones = [name[len(EPOCH) :] for name in known if name.startswith(EPOCH)]
    anchors = [name for name in known if not name.startswith(EPOCH)]
    return {
        "error": error,
        "revoked": sorted(anchor for anchor in anchors if store.is_revoked(anchor)),
        "epochs": {zone: store.current_delegation_epoch(zone) for zone in zones},
        "dead": [letter[b"reason"].decode() for _, letter in SERVER.xrange(stream + ".dead")],
    }


def flush():
    SERVER.flushall()


STEPS = {"sign": sign, "write": write, "add": add, "read": read, "flush": flush}

if __name__ == "__main__":
    steps = json.load(sys.stdin)
    json.dump([STEPS[step.pop("do")](**step) for step in steps], sys.stdout)
