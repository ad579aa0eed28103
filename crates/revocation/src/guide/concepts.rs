//! The terms, and how they fit together.
//!
//! # From a revocation to a denial
//!
//! 1. An operator revokes a session. Caracal decides in Postgres and writes a signed message to a
//!    Redis stream.
//! 2. The **follower** of each process reads the message, verifies its signature and updates the
//!    **state**.
//! 3. A layer asks the state about each request and gets a **verdict**: admitted, denied (with a
//!    reason) or unknown. Unknown is answered 503.
//! 4. A request that already runs on the revoked token is **cut**.
//!
//! The state is in memory. A verdict does no I/O, and takes no lock while nothing matches.
//!
//! ```
//! use caracal_revocation::state::Verdict;
//! use caracal_revocation::wire::{Key, KeyRing, MessageBuilder};
//! use caracal_revocation::{Claims, Follower, InProcess, Publisher};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Streams inside this process, in place of Redis.
//! let key = Key::generate()?;
//! let streams = InProcess::new();
//! let revocations = Follower::in_process(&streams, KeyRing::new(key.clone()))?.spawn();
//! revocations.ready().await;
//!
//! let issued = i64::try_from(revocations.now().wall.as_secs())?;
//! let claims = Claims::new("session-1", issued, issued + 900);
//! let verdict = revocations.decide(&claims, &Default::default(), revocations.now());
//! assert!(matches!(verdict, Verdict::Admitted(_)));
//!
//! let publisher = Publisher::in_process(&streams, Some(key));
//! publisher.publish(MessageBuilder::revoke("zone-1", "operator").session("session-1")).await?;
//! while revocations.entries() == 0 {
//!     tokio::task::yield_now().await;
//! }
//! let verdict = revocations.decide(&claims, &Default::default(), revocations.now());
//! assert!(!matches!(verdict, Verdict::Admitted(_)));
//! # Ok(())
//! # }
//! ```
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | mandate | Caracal's short-lived ES256 token |
//! | anchor | an id in a mandate that can be revoked: `sid`, `root_sid`, `agent_session_id`, `delegation_edge_id`, and the ids of each hop |
//! | hop | one delegation in the chain of a mandate |
//! | zone | a tenant of Caracal, with its own keys and policies |
//! | epoch | the version of a zone's delegation graph |
//! | generation | the version of a zone's keys or policy |
//! | follower | the task that reads the streams and updates the state |
//! | cursor | the id after which a stream is read |
//! | gap | entries proven missing from a stream |
//! | suspected gap | entries that a restart or a failover may have lost |
//! | completeness proof | the count of entries read equals the growth of `entries-added` |
//! | freshness | the time of the last completeness proof |
//! | staleness | the age of that proof |
//! | bound | the staleness beyond which every verdict is unknown |
//! | fresh, stale | staleness is within the bound, or beyond it |
//! | horizon | after a gap: mandates issued at or before this time are denied until they are refreshed |
//! | baseline | a second source of truth (Postgres) that closes gaps |
//! | snapshot | the sealed file with state and cursors |
//! | verdict | admitted, denied with a reason, or unknown |
//! | cut | the end of a request that already runs |
//! | dead letter | a message that could not be used, kept in `<stream>.dead` |
//! | lag | the time of a revocation from one stage to the next: decided → published → applied → enforced |
//! | canary | a signed probe message that measures the way to Redis and back |
//! | receipt | a replica's report of its cursor, for `caracal-streams fleet` |
//!
//! Requests are **denied**, messages are **rejected**, tokens are **revoked**, **expired** or
//! **stale**.
//!
//! # Completeness, freshness and the horizon
//!
//! Redis does not report to a reader that messages were deleted or trimmed before it read them. The
//! follower therefore counts: if it has reached the last id of a stream, the number of entries read
//! since the last proof must equal the growth of `entries-added`. If it does, the view is fresh as
//! of the moment at which the question was sent. If it does not, there is a gap.
//!
//! After a gap, the follower reads the stream again from its first entry and sets the horizon to
//! the end of the gap plus a margin. A mandate issued up to the horizon is denied with "refresh the
//! mandate": a revocation of it may have been among the missing messages. A newer mandate cannot be
//! affected, because the STS reads Postgres before it issues one. The horizon ends when no mandate
//! from before it can still live.
//!
//! A baseline ends the horizon earlier: Postgres holds the content of the missing messages.
//! Mandates with `use=session` and resumed sessions stay denied until the horizon ends.
