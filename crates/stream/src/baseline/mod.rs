//! A second source of truth beside the streams: read at start, after a loss, on a schedule, and
//! whenever it is asked for.
//!
//! ```
//! use caracal_revocation_event::{Key, KeyRing};
//! use caracal_revocation_state::{Checks, Claims, Known, Verdict};
//! use caracal_revocation_stream::{Baseline, BaselineFuture, Follower, InProcess, Scope};
//!
//! /// What a service was told by hand.
//! #[derive(Debug)]
//! struct ByHand(Vec<String>);
//!
//! impl Baseline for ByHand {
//!     fn read<'a>(
//!         &'a mut self,
//!         _: Scope,
//!         add: &'a mut (dyn FnMut(&Known<'_>) + Send),
//!     ) -> BaselineFuture<'a> {
//!         self.0.iter().for_each(|id| add(&Known::Revoked(id)));
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
//! assert!(matches!(verdict, Verdict::Refused(_)));
//! # Ok(())
//! # }
//! ```

mod reload;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use caracal_revocation_state::Known;

pub use reload::Reload;
pub(crate) use reload::{Reloads, channel};

/// A second source of truth about revocations, such as Caracal's own tables in Postgres.
///
/// It can only add: nothing that a message said is ended by it.
pub trait Baseline: fmt::Debug + Send {
    /// Hands everything of the scope that it knows to `add`, out of one consistent snapshot
    /// that is begun after the call. What was added stays, even where it fails in the end.
    ///
    /// `Ok` says that the scope was read whole. It must come to an end: an answer that does not
    /// arrive is an error after a while.
    fn read<'a>(
        &'a mut self,
        scope: Scope,
        add: &'a mut (dyn FnMut(&Known<'_>) + Send),
    ) -> BaselineFuture<'a>;
}

/// What [`Baseline::read`] returns.
pub type BaselineFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BaselineError>> + Send + 'a>>;

/// How much of it is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that was decided so long ago or later.
    Window(Duration),
    /// What was decided since the last reading that was whole; so long ago or later if there was
    /// none. More does no harm.
    News(Duration),
}

/// Why a second source of truth could not be read whole.
///
/// It holds no password, and nothing of an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BaselineError {
    setting: &'static str,
    problem: String,
}

impl BaselineError {
    /// An error that is mended, if anywhere, in this setting.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }

    /// The setting to look at.
    #[must_use]
    pub const fn setting(&self) -> &'static str {
        self.setting
    }
}
