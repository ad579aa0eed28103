//! Compares this reader with Caracal's Python SDK (`caracalai-revocation-redis`) on one Redis.

mod directions;
mod sdk;
mod verdicts;
