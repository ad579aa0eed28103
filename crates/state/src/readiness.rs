//! The readiness of a service, for a readiness probe: ready, or the reason why not.

use std::fmt;
use std::time::Duration;

use crate::outage::OutageCause;
use crate::unknown::UnknownCause;

/// The readiness of a service at one moment, from [`Revocations::readiness`].
///
/// ```
/// use caracal_revocation_state::{Options, RevocationsWriter};
/// let revocations = RevocationsWriter::new(Options::default());
/// let readiness = revocations.readiness(revocations.now());
/// assert!(!readiness.is_ready());
/// assert_eq!(readiness.unready.map(|why| why.label()), Some("replaying"));
///
/// revocations.confirm(revocations.now());
/// assert!(revocations.readiness(revocations.now()).is_ready());
/// ```
///
/// [`Revocations::readiness`]: crate::Revocations::readiness
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Readiness {
    /// The reason why the service must not receive requests; `None` if it is ready.
    pub unready: Option<UnknownCause>,
    /// An alarm that leaves the service ready.
    pub degraded: Option<Degraded>,
    /// The time since the log was last proven complete; `None` if it never was.
    pub staleness: Option<Duration>,
    /// `true` if `staleness` is above [`Options::warn_after`](crate::Options::warn_after).
    pub is_late: bool,
    /// The cause for which the log currently cannot be read or proven fresh.
    pub outage: Option<OutageCause>,
    /// The horizon in seconds since the Unix epoch, if messages may have been lost: tokens issued
    /// up to then are denied. `None` again once no living token is that old.
    pub horizon: Option<i64>,
}

/// An alarm that leaves the service ready: an operator must act, requests are decided as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Degraded {
    /// Messages arrive that no accepted key has signed, and are rejected. Either the producers' key
    /// was changed, or an unknown writer has access to the streams. In strict mode, the view also
    /// counts as no fresher than the first such message.
    SignaturesFail,
}

impl Readiness {
    /// Returns `true` if the service can receive requests.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.unready.is_none()
    }
}

impl fmt::Display for Readiness {
    /// Writes one line, such as `stale (timeout), last proven complete 61.2 s ago`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.unready.map_or("ready", UnknownCause::label))?;
        if let Some(outage) = self.outage {
            write!(f, " ({})", outage.label())?;
        }
        if let Some(degraded) = self.degraded {
            write!(f, ", degraded: {}", degraded.label())?;
        }
        if let Some(staleness) = self.staleness {
            write!(f, ", last proven complete {:.1} s ago", staleness.as_secs_f64())?;
        }
        if let Some(horizon) = self.horizon {
            write!(f, ", tokens issued up to {horizon} are denied")?;
        }
        Ok(())
    }
}

impl Degraded {
    /// Every alarm.
    pub const ALL: [Self; 1] = [Self::SignaturesFail];

    /// Returns the alarm as a label: `signatures_fail`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::SignaturesFail => "signatures_fail",
        }
    }

    /// Returns the action that ends the alarm; it names the setting.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::SignaturesFail => {
                "set STREAMS_HMAC_KEY to the producers' key and STREAMS_HMAC_KEY_PREVIOUS to the old \
                 one, then restart; if no key was changed, find out who writes to the streams"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_of_an_alarm_names_the_setting() {
        for alarm in Degraded::ALL {
            assert!(alarm.advice().contains("STREAMS_HMAC_KEY"));
        }
    }
}
