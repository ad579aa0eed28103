#![cfg_attr(docsrs, feature(doc_cfg))]

//! Follows Caracal's streams on Redis, proves that no message was missed, and publishes messages.
//!
//! ```
//! use caracal_revocation_event::{Key, KeyRing, MessageBuilder};
//! use caracal_revocation_state::{Checks, Claims, Verdict};
//! use caracal_revocation_stream::{Follower, InProcess, Publisher};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = Key::generate()?;
//! let streams = InProcess::new(); // a service says Follower::from_env()? instead
//! let revocations = Follower::in_process(&streams, KeyRing::new(key.clone()))?.spawn();
//! revocations.ready().await;
//!
//! let publisher = Publisher::in_process(&streams, Some(key));
//! publisher.publish(MessageBuilder::revoke("z-1", "operator").session("ar-1")).await?;
//! while revocations.entries() == 0 {
//!     tokio::task::yield_now().await;
//! }
//! let now = revocations.now();
//! let issued = i64::try_from(now.wall.as_secs())?;
//! let claims = Claims::new("ar-1", issued, issued + 900);
//! let verdict = revocations.decide(&claims, &Checks::default(), now);
//! assert!(matches!(verdict, Verdict::Denied(_)));
//! # Ok(())
//! # }
//! ```
//!
//! In reading order: [`Settings`] name the servers of the streams. A [`Follower`] reads the
//! streams, and a [`Baseline`] if there is one, into a state, and writes unusable messages as
//! [`DeadLetter`]s. A [`Publisher`] writes to the streams. [`UsedMandates`]
//! records the mandates that may be used once. [`InProcess`] replaces Redis if a
//! program's `main` chooses it. A [`StreamTail`] shows each message to an operator. Other tasks of
//! operators' programs are in `caracal-revocation-admin`, and effects that must happen once in a
//! fleet are in `caracal-revocation-effects`.

pub mod acl;
mod adaptive_timeout;
mod advice;
mod baseline;
mod canary;
#[cfg(feature = "tls")]
mod certificates;
mod connection;
mod continuity;
mod dead_letters;
mod entry;
mod entry_reader;
mod fields;
mod fold;
mod follower;
mod identity;
mod in_process;
mod inspect_error;
#[doc(hidden)]
pub mod internal;
mod limits;
mod log;
mod log_error;
#[cfg(test)]
mod logged;
mod metrics;
mod outage_log;
mod persistence;
mod primary;
mod proof;
mod publisher;
mod reading;
mod receipts;
mod redis_log;
mod redis_reply;
mod reloading;
mod repeat_limiter;
mod reported_run;
mod server_clock;
mod settings;
mod signature_health;
mod single_use;
mod snapshot;
mod topology;
mod view_age;
mod watch;
mod wire;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::snapshot::fuzzing::snapshot;
    pub use crate::wire::fuzzing::resp;
}

pub use baseline::{Baseline, BaselineError, BaselineFuture, Scope};
pub use canary::{Canary, CanaryStatus};
pub use dead_letters::{DeadLetter, ParseDeadLetterError};
pub use follower::Follower;
pub use in_process::InProcess;
pub use inspect_error::{InspectError, InspectErrorKind};
pub use persistence::LiveSetting;
pub use publisher::{PublishError, Publisher};
pub use receipts::Receipt;
pub use reloading::Reload;
pub use settings::{Mode, Settings, SettingsError};
pub use single_use::UsedMandates;
pub use watch::{StreamTail, TailBatch, TailedMessage};
