//! The progress of reading one stream, and the throttles of log lines.

use std::time::Duration;

use caracal_revocation_event::StreamId;
use caracal_revocation_state::internal::Throttle;
use caracal_revocation_state::{GapCause, Moment};

use crate::entry::PerStream;
use crate::proof::Proof;
use crate::repeat_limiter::RepeatLimiter;

/// A moment before all others, for an answer that is complete up to an unknown time.
pub(super) const NEVER: Moment = Moment { monotonic: Duration::ZERO, wall: Duration::ZERO };

/// A throttle for each log line that another process can cause repeatedly.
#[derive(Debug, Default)]
pub(super) struct Throttles {
    pub(super) rejected: Throttle,
    pub(super) recut: Throttle,
    pub(super) too_large: Throttle,
    pub(super) suspicion: Throttle,
    pub(super) lost: PerStream<Throttle>,
    pub(super) uncertain: PerStream<Throttle>,
}

/// The handling of re-cut messages in a stream about keys or policies. A re-cut message may hide
/// the zone that it concerns, so the keys or policies of every zone are invalidated.
#[derive(Debug)]
pub(super) struct Recuts {
    pub(super) limiter: RepeatLimiter,
    pub(super) are_waiting: bool,
}

#[derive(Debug)]
pub(super) struct Track {
    pub(super) proof: Proof,
    /// The time at which the last passing check was sent.
    pub(super) as_of: Option<Moment>,
    /// The gap that this answer showed.
    pub(super) broken: Option<GapCause>,
    /// `true` if the stream must be read again, although no gap was shown.
    pub(super) must_reread: bool,
    /// `true` if the server cannot prove that nothing was lost before the replay.
    pub(super) is_young: bool,
    /// The id of the newest message that was counted and logged, and dead-lettered if it was
    /// rejected.
    pub(super) reported: StreamId,
}

impl Track {
    pub(super) const fn new(proof: Proof) -> Self {
        Self {
            proof,
            as_of: None,
            broken: None,
            must_reread: false,
            is_young: false,
            reported: StreamId::ZERO,
        }
    }

    /// Returns `true` the first time that a message is read. A stream may be read again.
    pub(super) fn is_first_reading(&mut self, id: StreamId) -> bool {
        let is_first = id > self.reported;
        self.reported = self.reported.max(id);
        is_first
    }
}
