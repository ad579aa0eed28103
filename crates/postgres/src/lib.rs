//! Caracal's own tables, read as a second source of truth about revocations.
//!
//! ```no_run
//! use caracal_revocation_postgres::Postgres;
//! use caracal_revocation_stream::Follower;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let revocations = Follower::from_env()? // REDIS_URL, STREAMS_HMAC_KEY
//!     .with_baseline(Postgres::from_env()?) // DATABASE_URL
//!     .spawn();
//! # Ok(())
//! # }
//! ```
//!
//! Where messages were lost from a stream, a follower refuses every token made before the loss
//! ended. Postgres knows what those messages said: the records, sessions and delegations that
//! ended, and the outboxes with every message that was ever meant for the streams, published or
//! not. They are read in one snapshot, begun after the loss; then only a session's own mandates
//! (`use` is `session`), tokens that do not say what they are for, and those of sessions that
//! were suspended and resumed are still refused for being old.
//!
//! It only adds. A resume that was lost is not made up for by it: the session stays refused until
//! it is resumed again, or its entry expires.
//!
//! # Requests are admitted after a loss if
//!
//! 1. the snapshot was taken on a primary, with row level security hiding nothing,
//! 2. every row of the window was read, and every message in the outboxes understood,
//! 3. and no other loss was noticed since before the snapshot.
//!
//! In all other cases the state is as strict as without Postgres.
//!
//! # The role
//!
//! It needs to read these columns and nothing else:
//!
//! ```sql
#![doc = include_str!("../grants.sql")]
//! ```
//!
//! Where the outboxes are large, an index on `created_at` of each makes a reading cheap.

mod connection;
mod errors;
mod outbox;
mod postgres;
mod settings;
mod tables;

pub use postgres::Postgres;
pub use settings::PostgresError;
