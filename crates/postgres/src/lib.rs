#![cfg_attr(docsrs, feature(doc_cfg))]

//! Reads Caracal's own tables as a second source of truth about revocations.
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
//! After a gap in a stream, a follower denies every token issued before the end of the gap.
//! Postgres still holds the lost facts: the records, sessions and delegations that ended, and the
//! outboxes with every message meant for the streams, published or not. The baseline reads them in
//! one snapshot that begins after the gap. Afterwards, three kinds of older tokens are still
//! denied: a session's own mandates (`use` is `session`), tokens without `use`, and tokens of
//! sessions that were suspended and resumed.
//!
//! The baseline only adds revocations. It does not replace a lost resume: the session stays
//! denied until it is resumed again or its entry expires.
//!
//! # A gap is closed if
//!
//! 1. the snapshot was taken on a primary, and row level security hides no row,
//! 2. every row of the window was read, and every outbox message was understood,
//! 3. no other gap was detected since the snapshot began.
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
//! If the outboxes are large, an index on `created_at` of each makes a read cheap.
//!
//! # Selecting what to revoke
//!
//! [`Postgres::select`] returns what an operator's criteria cover: records, sessions, delegations,
//! and everything below them. `caracal-streams publish revoke` uses it. It needs another role:
//!
//! ```sql
#![doc = include_str!("../grants_revoke.sql")]
//! ```

mod connection;
mod errors;
mod outbox;
mod postgres;
mod selection;
mod settings;
mod tables;

pub use postgres::Postgres;
pub use selection::{Selected, SelectedDelegation, SelectedRecord, SelectedSession, Selection};
pub use settings::PostgresError;
