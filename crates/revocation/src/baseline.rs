//! A second source of truth, such as Caracal's own tables. It closes gaps in the streams.
//!
//! ```
//! use caracal_revocation::baseline::{Baseline, BaselineFuture, BaselineFact, Scope};
//! use caracal_revocation::wire::{Key, KeyRing};
//! use caracal_revocation::{Follower, InProcess};
//!
//! /// Ids that an operator listed.
//! #[derive(Debug)]
//! struct Listed(Vec<String>);
//!
//! impl Baseline for Listed {
//!     fn read<'a>(
//!         &'a mut self,
//!         _: Scope,
//!         add: &'a mut (dyn FnMut(&BaselineFact<'_>) + Send),
//!     ) -> BaselineFuture<'a> {
//!         self.0.iter().for_each(|id| add(&BaselineFact::Revoked(id)));
//!         Box::pin(async { Ok(()) })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let follower = Follower::in_process(&InProcess::new(), KeyRing::new(Key::generate()?))?
//!     .with_baseline(Listed(vec!["session-1".to_owned()]));
//! let reload = follower.reload_handle();
//! let revocations = follower.spawn();
//! reload.reload().await?;
//! assert_eq!(revocations.entries(), 1);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "postgres")]
pub use caracal_revocation_postgres::{Postgres, PostgresError};
pub use caracal_revocation_state::BaselineFact;
pub use caracal_revocation_stream::{Baseline, BaselineError, BaselineFuture, Reload, Scope};
