//! The responses of services during failures, and the recovery from each.
//!
//! The rule: known revocations stay in force, and an unknown state is answered 503. The service
//! needs no restart to recover. An outage never produces the answer "session revoked".
//!
//! | failure | within the bound | beyond the bound | what ends it |
//! |---|---|---|---|
//! | Redis is down, hangs, or cannot be reached | decided by the state | 503 | the follower reconnects: at most half a second between attempts |
//! | the login or a right is missing | decided by the state | 503 | create the user or grant the right; the log names it |
//! | Sentinel or Cluster has no majority | decided by the state | 503 | a majority confirms the primary again |
//! | a replica is read without `REDIS_PRIMARY_URL` | - | 503 from the start | set it |
//! | the process starts while Redis is down | 503; with a snapshot, decided by the restored state | 503 | Redis answers, and the history is read |
//! | none of Caracal's streams exists | 503 (`not_provisioned`) | 503 | check `REDIS_URL`, or run `caracal-streams provision` |
//! | no message verifies | 503 (`no_signature_verifies`) | 503 | set `STREAMS_HMAC_KEY` to the producers' key |
//! | some messages do not verify | decided by the state, with an alarm | decided by the state; 503 in strict mode | accept both keys; find the writer of those messages |
//! | messages are proven missing (a gap) | mandates from before the gap: 401 "refresh the mandate" | - | refreshed mandates; a baseline; at the latest the end of the horizon |
//! | a restart or failover may have lost messages (a suspected gap) | counted and logged; in strict mode as a gap | - | a baseline |
//! | more is revoked than fits into memory | revoked: 401; the rest: 503 (`full`) | - | entries expire, or a larger `max_entries` |
//! | the STS is down | known mandates and cached keys work | after the grace of the keys: 503 | the keys are fetched again |
//!
//! `/ready` of [`Operations`](crate::Operations) gives the reason, the cause of an outage, and the
//! advice. The files `docs/outages.md` and `docs/runbook.md` in the repository have a line for each
//! cause and a section for each alert.
//!
//! # Requests that already run
//!
//! A running request is cut when a new request on the same token would be denied, and 60 seconds
//! after `exp`. An unknown state cuts nothing, unless
//! [`CutOptions::when_unknown`](crate::gateway::CutOptions::when_unknown) is set. A cut response
//! never looks complete; the documentation of `caracal-revocation-layer` lists how each kind of
//! response ends.
//!
//! # Failing open
//!
//! [`GatewayLayer::fail_open_unknown`](crate::GatewayLayer::fail_open_unknown) admits requests
//! while the state is unknown. Each is counted in `caracal_gateway_failed_open_total`. Tokens that
//! are known to be revoked stay denied; tokens that were revoked since the last proof are admitted.
