//! Runs a handler once per message in a whole fleet, through a consumer group.
//!
//! ```
//! use caracal_revocation::effects::{Delivery, EffectRunner};
//! use caracal_revocation::wire::{Key, KeyRing, MessageBuilder, Stream};
//! use caracal_revocation::{InProcess, Publisher};
//! use tokio::sync::mpsc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (streams, key) = (InProcess::new(), Key::generate()?);
//! let publisher = Publisher::in_process(&streams, Some(key.clone()));
//! publisher.publish(MessageBuilder::keys("zone-1")).await?;
//!
//! let (sender, mut zones) = mpsc::unbounded_channel();
//! let handler = move |delivery: Delivery| {
//!     let _ = sender.send(delivery.zone().map(str::to_owned));
//!     async { Ok(()) }
//! };
//! let keys = KeyRing::new(key);
//! let runner = EffectRunner::in_process(&streams, keys, Stream::KeysInvalidate, "sts-keys");
//! tokio::spawn(runner.run(handler, std::future::pending::<()>()));
//! assert_eq!(zones.recv().await.flatten().as_deref(), Some("zone-1"));
//! # Ok(())
//! # }
//! ```

pub use caracal_revocation_effects::{Delivery, EffectError, EffectFailure, EffectRunner};
