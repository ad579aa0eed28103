//! Single use: a mandate for a gateway is admitted once (contract, "Single use").

use std::sync::Arc;
use std::time::Duration;

use caracal_revocation_mandate::{Mandate, Use};
use caracal_revocation_state::{Moment, UseOutcome, UseRecord, UseRecordError};

use crate::RequestDenialKind;
use crate::answer::RequestId;
use crate::limits::USE_KEPT;
use crate::log;

/// The options for single use.
#[derive(Clone, Debug, Default)]
pub(crate) struct SingleUse {
    /// The record of used mandates. Without one, mandates may be used many times.
    pub(crate) record: Option<Arc<dyn UseRecord>>,
    /// `true` if mandates are admitted while the record cannot be asked.
    pub(crate) fail_open: bool,
}

/// An admitted use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UseAdmitted {
    First,
    /// The record cannot be asked, and the layer fails open.
    FailedOpen,
}

impl SingleUse {
    /// Returns `true` if this mandate may be used more than once: at an STS, to request others.
    pub(super) fn is_exempt(mandate: &Mandate) -> bool {
        mandate.token_use() == Use::Session
    }

    /// Decides by the answer of the record.
    pub(super) fn conclude(
        &self,
        answer: Result<UseOutcome, UseRecordError>,
    ) -> Result<UseAdmitted, RequestDenialKind> {
        match answer {
            Ok(UseOutcome::First) => Ok(UseAdmitted::First),
            Ok(UseOutcome::Replayed) => Err(RequestDenialKind::Replayed),
            Err(error) => {
                log::use_unknown(&error, self.fail_open);
                if self.fail_open {
                    Ok(UseAdmitted::FailedOpen)
                } else {
                    Err(RequestDenialKind::UseUnknown)
                }
            }
        }
    }
}

/// Records the use of this mandate by a request.
pub(super) async fn record(
    record: Arc<dyn UseRecord>,
    mandate: Mandate,
    request_id: RequestId,
    now: Moment,
) -> Result<UseOutcome, UseRecordError> {
    let kept = time_to_live(mandate.expires(), now);
    record.record(mandate.id(), request_id.as_str(), kept).await
}

/// Returns the time for which a use must be remembered.
fn time_to_live(expires: i64, now: Moment) -> Duration {
    let expires = Duration::from_secs(u64::try_from(expires).unwrap_or(0));
    (expires + USE_KEPT).saturating_sub(now.wall)
}

#[cfg(test)]
mod tests {
    use caracal_revocation_state::LEEWAY;

    use super::*;

    /// A clock that is behind by the leeway accepts the mandate until `exp` and twice the leeway,
    /// by the true time. A clock that is ahead by the leeway computes the time to live.
    #[test]
    fn record_outlives_mandate_on_every_clock_within_the_leeway() {
        let (expires, used) = (Duration::from_secs(1_000), Duration::from_secs(900));
        let ahead = Moment { monotonic: Duration::ZERO, wall: used + LEEWAY };
        let forgotten = used + time_to_live(1_000, ahead);
        assert!(forgotten >= expires + LEEWAY + LEEWAY, "{forgotten:?}");
        let late = Moment { monotonic: Duration::ZERO, wall: Duration::from_secs(9_000) };
        assert_eq!(time_to_live(1_000, late), Duration::ZERO);
        assert_eq!(time_to_live(-1, late), Duration::ZERO);
    }
}
