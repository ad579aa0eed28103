//! The revocation state of a service, and the verdicts that follow from it.
//!
//! The state is a fold over verified events. It holds an index of revoked anchors, which never
//! evicts an entry, and the epochs and generations of each zone. It also holds the time of the last
//! completeness proof, and the horizon up to which messages may have been lost.
//! [`Revocations::decide`] turns a token's [`Claims`] and the time into a [`Verdict`]. It does no
//! I/O; it takes no lock and allocates nothing when no anchor matches.
//!
//! ```
//! use caracal_revocation_event::{KeyRing, Message, Stream};
//! use caracal_revocation_state::{Checks, Claims, Options, DenyReason, RevocationsWriter, Verdict};
//!
//! let writer = RevocationsWriter::new(Options::default());
//! let revocations = writer.reader();
//! let now = revocations.now();
//! let issued = i64::try_from(now.wall.as_secs())?;
//! let claims = Claims::new("ar-1", issued, issued + 900);
//!
//! // No proof that the log is complete exists yet: unknown, not admitted.
//! assert!(matches!(revocations.decide(&claims, &Checks::default(), now), Verdict::Unknown(_)));
//!
//! writer.confirm(now);
//! assert!(matches!(revocations.decide(&claims, &Checks::default(), now), Verdict::Admitted(_)));
//!
//! let fields: [(&[u8], &[u8]); 1] = [(b"sid", b"ar-1")];
//! let message = Message::new(Stream::SessionsRevoke, &fields);
//! let event = KeyRing::insecure_accept_unsigned().verify(&message)?;
//! writer.apply(&event, now);
//! let Verdict::Denied(denial) = revocations.decide(&claims, &Checks::default(), now) else {
//!     panic!("a revoked token was not denied");
//! };
//! assert_eq!(denial.reason(), DenyReason::Revoked);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In reading order:
//!
//! - [`Claims`] are the claims of a token; an [`Authority`] holds them digested, for repeated
//!   decisions.
//! - [`Verdict`] is the result of a decision. [`Admission`] is the proof that an admitted request
//!   carries, with its [`Identity`].
//! - [`Revocations`] reads the state, and the one [`RevocationsWriter`] changes it.
//! - [`CutPolicy`] configures when running requests are cut.
//! - [`UseRecord`] records the mandates that may be used once.
//! - [`FollowerReport`] shows the work of the follower, for status pages.
//! - [`Clock`] and [`Moment`] are the time, which is passed in everywhere.

mod anchors;
mod applying;
mod authority;
mod claims;
mod clock;
mod cutting;
mod deciding;
mod digest;
mod filter;
mod filter_cell;
mod freshness;
mod gap;
mod horizon;
mod identity;
mod image;
mod index;
#[doc(hidden)]
pub mod internal;
mod lifetime;
mod limits;
#[cfg(all(test, loom))]
mod model;
mod options;
mod outage;
mod payload;
mod readiness;
mod recent;
mod reload;
mod report;
mod revocations;
mod running;
mod single_use;
mod staleness;
mod state;
mod suspensions;
mod sync;
mod table;
mod unknown;
mod verdict;
mod writer;
mod zones;

pub use applying::BaselineFact;
pub use authority::Authority;
pub use claims::{AnchorKind, Claims, Hop};
pub use clock::{Clock, ManualClock, Moment, SystemClock};
pub use freshness::NotReady;
pub use gap::{GapCause, LossSuspicion};
pub use horizon::LossVersion;
pub use identity::Identity;
pub use image::{RestoreError, StateSnapshot};
pub use limits::{LEEWAY, LONGEST_LIFETIME};
pub use options::{BoundError, Options};
pub use outage::OutageCause;
pub use payload::Text;
pub use readiness::{Degraded, Readiness};
pub use reload::{ReloadObstacle, ReloadStart};
pub use report::{
    BaselineReport, FollowerReport, ReloadReport, SnapshotReport, StreamReport, Tally,
};
pub use revocations::Revocations;
pub use running::{
    Admission, Cut, CutPoint, CutPolicy, CutReport, NotAdmitted, RequestCancellation, RevokedSignal,
};
pub use single_use::{UseFuture, UseOutcome, UseRecord, UseRecordError};
pub use unknown::UnknownCause;
pub use verdict::{Admitted, Checks, Denial, DenyReason, Verdict};
pub use writer::RevocationsWriter;
pub use zones::{PolicyChanges, PolicyInvalidation, ZoneView};
