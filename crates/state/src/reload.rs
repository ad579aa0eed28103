//! The answer to a request to read everything again.

use crate::outage::OutageCause;

/// The answer to a request to read the streams and the baseline again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadStart {
    /// The reload has begun. [`FollowerReport::reload`](crate::FollowerReport::reload) shows its
    /// end.
    Accepted,
    /// An earlier reload still runs, so no other one begins.
    AlreadyRunning,
    /// Nothing can be read now.
    NotPossible(ReloadObstacle),
}

/// The reason that nothing can be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadObstacle {
    /// The follower has not begun, or has ended.
    NoFollower,
    /// The streams cannot be read, and there is no baseline.
    Outage(OutageCause),
}

impl ReloadObstacle {
    /// Returns the reason as a label: `no_follower`, or that of the [`OutageCause`].
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoFollower => "no_follower",
            Self::Outage(cause) => cause.label(),
        }
    }

    /// Returns the action for an operator.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NoFollower => {
                "no follower runs in this process: look for a panic in the log, then restart the \
                 process"
            }
            Self::Outage(cause) => cause.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obstacle_has_the_label_and_the_advice_of_its_cause() {
        let cause = OutageCause::Login;
        let outage = ReloadObstacle::Outage(cause);
        assert_eq!((outage.label(), outage.advice()), (cause.label(), cause.advice()));
        let nobody = ReloadObstacle::NoFollower;
        assert_eq!(nobody.label(), "no_follower");
        assert!(nobody.advice().contains("restart the process"));
    }
}
