//! The revocation state of a service, and the verdict that follows from it.
//!
//! [`Revocations`] is a fold over verified events: an index that never evicts, the epochs and
//! generations of each zone, the moment up to which the log is proven complete, and the horizon
//! before which it is not. [`Revocations::decide`] turns a token's [`Claims`] and the time into
//! a [`Verdict`]; it does no I/O, takes no lock when nothing matches, and allocates nothing.
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
//! // Nobody has proven the log complete yet: unknown, not admitted.
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
//!     panic!("a revoked token was not refused");
//! };
//! assert_eq!(denial.reason(), DenyReason::Revoked);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In reading order: [`Claims`] is what a token says, and [`Authority`] the same made ready to be
//! asked about again and again; [`Verdict`] is what follows, and [`Admission`] what a request that
//! passes carries: its [`Identity`] among others; [`Revocations`]
//! reads the state, and the one [`RevocationsWriter`] changes it; [`CutPolicy`] is how a
//! request that runs learns that its authority has ended; [`Clock`] and [`Moment`] are the time,
//! passed in everywhere.

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
mod revocations;
mod running;
mod staleness;
mod state;
mod suspensions;
mod sync;
mod table;
mod verdict;
mod writer;
mod zones;

pub use applying::BaselineFact;
pub use authority::Authority;
pub use claims::{AnchorKind, Claims, Hop};
pub use clock::{Clock, ManualClock, Moment, SystemClock};
pub use freshness::NotReady;
pub use horizon::LossVersion;
pub use identity::Identity;
pub use image::{RestoreError, StateSnapshot};
pub use limits::{LEEWAY, LONGEST_LIFETIME};
pub use options::{BoundError, Options};
pub use outage::OutageCause;
pub use payload::Text;
pub use readiness::{Degraded, Readiness, Unready};
pub use revocations::Revocations;
pub use running::{
    Admission, Cut, CutPoint, CutPolicy, CutReport, NotAdmitted, RequestCancellation, RevokedSignal,
};
pub use verdict::{Admitted, Checks, Denial, DenyReason, Unknown, Verdict};
pub use writer::RevocationsWriter;
pub use zones::{PolicyChanges, PolicyInvalidation, ZoneView};
