//! The settings that a service may change, with the effect of each.
//!
//! # The staleness bound
//!
//! [`Options::deny_after`](crate::state::Options::deny_after), or `REVOCATION_DENY_AFTER_MS`: 60
//! seconds by default. A shorter bound shortens the worst delay of a revocation during an outage; a
//! longer one keeps the service available during longer outages. It does not change the usual
//! delay, which is about a millisecond.
//!
//! | bound | survives without 503 |
//! |---|---|
//! | 5 s (strict) | a short hang of Redis; not a failover by Sentinel, which often takes 30 s |
//! | 60 s (default) | a failover |
//! | at least 400 ms ([`Options::SHORTEST_BOUND`](crate::state::Options::SHORTEST_BOUND)) | nothing: each slow answer denies requests |
//!
//! A route can ask for a fresher view than the service:
//!
//! ```
//! use std::time::Duration;
//! use caracal_revocation::wire::KeyRing;
//! use caracal_revocation::{Follower, GatewayLayer, InProcess};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let keys = KeyRing::insecure_accept_unsigned();
//! # let revocations = Follower::in_process(&InProcess::new(), keys)?.spawn();
//! let gateway = GatewayLayer::new(revocations);
//! let payments = gateway.clone().with_deny_after(Duration::from_secs(2))?;
//! assert!(gateway.with_deny_after(Duration::from_millis(50)).is_err()); // below 400 ms
//! # let _ = payments;
//! # Ok(())
//! # }
//! ```
//!
//! # Strict mode
//!
//! [`Options::strict`](crate::state::Options::strict), or `REVOCATION_STRICT=true`, treats history
//! that cannot be proven complete as lost. Without a baseline, every start, and every failover that
//! may have lost messages, denies mandates issued up to three minutes after it. It also denies
//! mandates with two or more delegations until the horizon ends. Use it together with
//! [`Follower::with_baseline`](crate::Follower::with_baseline), which closes the gap in a moment.
//!
//! # Memory
//!
//! | resource | default | to change it |
//! |---|---|---|
//! | revoked anchors | 5,000,000, about 150 MB | [`Options::max_entries`](crate::state::Options::max_entries) |
//! | how long an anchor is remembered | 24 hours, at least 65 minutes | [`Options::memory`](crate::state::Options::memory) |
//! | verified mandates | 10,000 | [`VerifierBuilder::with_capacity`](crate::mandate::VerifierBuilder::with_capacity): about the number of tokens in use |
//! | answers of Redis | 32 MiB | - |
//! | dead letters that wait | 16 MiB | - |
//!
//! Entries are never evicted. If there is no room, the state is unknown for tokens that are not
//! known to be revoked.
//!
//! # Throughput of a gateway
//!
//! A verdict costs tens of nanoseconds. Decoding and hashing the claims costs more than the
//! verdict. If your authentication layer caches verified tokens, cache an
//! [`Authority`](crate::Authority) alongside each one and put it into the extensions in place of
//! the claims: nothing is hashed again. A [`Verifier`](crate::Verifier) does this by itself.
//!
//! # Cutting running requests
//!
//! [`CutOptions`](crate::gateway::CutOptions) configures the cuts. The default suits a service that
//! clients reach directly.
//!
//! | situation | option |
//! |---|---|
//! | a proxy passes `TE` on, drops trailers and adds no `Via` | [`without_trailer`](crate::gateway::CutOptions::without_trailer) |
//! | every proxy on the way forwards trailers | [`trailer_through_proxies`](crate::gateway::CutOptions::trailer_through_proxies) |
//! | running requests must also end during an outage | [`when_unknown`](crate::gateway::CutOptions::when_unknown) |
//! | clients renew tokens late | [`exp_grace`](crate::gateway::CutOptions::exp_grace), 60 seconds by default |
//!
//! Two things lower the delay of other requests while thousands of streams are cut. Over HTTP/2, a
//! [`ConnectionId`](crate::gateway::ConnectionId) in the extensions of each request lets the streams
//! of one connection end together. And an allocator with a heap for each thread, such as mimalloc or
//! jemalloc, frees their memory without the locks of glibc's `malloc`. `caracal-guard` has both.
//!
//! # Many processes
//!
//! Each process reads every message. `docs/scaling.md` in the repository lists the number of
//! followers that one Redis serves. `REVOCATION_READ_INTERVAL_MS` lets Redis answer several messages
//! in one read, up to that much later.
