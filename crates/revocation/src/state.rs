//! Holds the known revocations in memory, and decides each request without I/O.
//!
//! ```
//! use caracal_revocation::Claims;
//! use caracal_revocation::state::{Checks, Options, RevocationsWriter, Verdict};
//!
//! let writer = RevocationsWriter::new(Options::default());
//! let revocations = writer.reader();
//! let now = revocations.now();
//! let issued = i64::try_from(now.wall.as_secs())?;
//! let claims = Claims::new("session-1", issued, issued + 600);
//!
//! // Before the first completeness proof the verdict is unknown.
//! assert!(matches!(revocations.decide(&claims, &Checks::default(), now), Verdict::Unknown(_)));
//! writer.confirm(now);
//! assert!(matches!(revocations.decide(&claims, &Checks::default(), now), Verdict::Admitted(_)));
//! # Ok::<(), std::num::TryFromIntError>(())
//! ```

pub use caracal_revocation_state::{
    Admitted, AnchorKind, Authority, BaselineReport, BoundError, Checks, Claims, Clock, Degraded,
    Denial, DenyReason, FollowerReport, GapCause, Hop, Identity, LEEWAY, LONGEST_LIFETIME,
    LossSuspicion, LossVersion, ManualClock, Moment, NotAdmitted, NotReady, Options, OutageCause,
    PolicyChanges, PolicyInvalidation, Readiness, ReloadObstacle, ReloadReport, ReloadStart,
    Revocations, RevocationsWriter, SnapshotReport, StreamReport, SystemClock, Tally, Text,
    UnknownCause, UseFuture, UseOutcome, UseRecord, UseRecordError, Verdict, ZoneView,
};
