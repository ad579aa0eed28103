//! A second source of truth next to the streams. The follower reads it at the start, after a loss,
//! on a schedule, and on request.
//!
//! ```
//! use caracal_revocation_event::{Key, KeyRing};
//! use caracal_revocation_state::{Checks, Claims, BaselineFact, Verdict};
//! use caracal_revocation_stream::{Baseline, BaselineFuture, Follower, InProcess, Scope};
//!
//! /// Revocations that an operator entered by hand.
//! #[derive(Debug)]
//! struct ByHand(Vec<String>);
//!
//! impl Baseline for ByHand {
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
//! let streams = InProcess::new();
//! let follower = Follower::in_process(&streams, KeyRing::new(Key::generate()?))?
//!     .with_baseline(ByHand(vec!["ar-1".to_owned()]));
//! let reload = follower.reload_handle();
//! let revocations = follower.spawn();
//! reload.reload().await?;
//! let now = revocations.now();
//! let issued = i64::try_from(now.wall.as_secs())?;
//! let claims = Claims::new("ar-1", issued, issued + 900);
//! let verdict = revocations.decide(&claims, &Checks::default(), now);
//! assert!(matches!(verdict, Verdict::Denied(_)));
//! # Ok(())
//! # }
//! ```

mod reload;
mod source;

pub(crate) use reload::{ReadRequests, Reloads, channel};
pub use source::{Baseline, BaselineError, BaselineFuture, Scope};
