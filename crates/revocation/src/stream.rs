//! Reads Caracal's streams into the state, and writes to them.
//!
//! ```
//! use caracal_revocation::wire::{Key, KeyRing, MessageBuilder};
//! use caracal_revocation::{Follower, InProcess, Publisher};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (streams, key) = (InProcess::new(), Key::generate()?);
//! let revocations = Follower::in_process(&streams, KeyRing::new(key.clone()))?.spawn();
//! revocations.ready().await;
//! assert_eq!(revocations.entries(), 0);
//!
//! let publisher = Publisher::in_process(&streams, Some(key));
//! publisher.publish(MessageBuilder::revoke("zone-1", "operator").session("session-1")).await?;
//! while revocations.entries() == 0 {
//!     tokio::task::yield_now().await;
//! }
//! assert_eq!(revocations.entries(), 1);
//! # Ok(())
//! # }
//! ```

pub use caracal_revocation_stream::{
    Canary, CanaryStatus, DeadLetter, Follower, InProcess, Mode, ParseDeadLetterError,
    PublishError, Publisher, Settings, SettingsError, UsedMandates,
};
